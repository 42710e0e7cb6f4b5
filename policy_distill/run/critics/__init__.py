"""Who judges states beside a student: value functions, and the objectives that need them."""
