"""Teachers: trained agents, live or from a file, one file a kind; `load.py` opens any of them."""
