"""What computes a student's actions, one file each; `table.py` lists them by name."""
