"""Processes that work for this one, on this machine or on others."""
