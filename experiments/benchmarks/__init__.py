"""Speed and quality beside an honest alternative, in one run."""
