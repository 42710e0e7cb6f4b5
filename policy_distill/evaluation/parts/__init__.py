"""Parts of `evaluation.json` and `compression.json` that some runs have and others lack, as typed records."""
