"""A student that goes on in another task."""
