"""How several teachers become one: which of them says what of a state."""
