"""A student in other forms, one file each; `table.py` lists them by name."""
