"""Kinds of teachers, one file each; `teachers/algorithms.py` says which algorithm has which."""
