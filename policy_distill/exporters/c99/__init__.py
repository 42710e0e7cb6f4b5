"""A student as C99: features, layers and action, and the program that they make."""
