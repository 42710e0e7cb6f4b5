"""How a student learns from labelled states."""
