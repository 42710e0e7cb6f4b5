"""The operations that networks are made of, one file each with all their forms; `table.py` lists them by name."""
