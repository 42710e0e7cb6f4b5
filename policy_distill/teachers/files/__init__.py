"""Reading agents' files without running anything from them."""
