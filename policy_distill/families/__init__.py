"""Families of action distributions, one file each; `table.py` lists them by name."""
