"""What a resumed run needs, kept in its folder: the state of all that goes on, written whole, and rescued elsewhere."""
