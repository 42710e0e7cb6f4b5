"""Weights in few bits: int8, int4 and ternary, in rows."""
