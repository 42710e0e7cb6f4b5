"""Divergences between teacher and student, one file a family of them; `table.py` lists them by name."""
