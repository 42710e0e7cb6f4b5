"""Student architectures, one file each; `table.py` lists them by name."""
