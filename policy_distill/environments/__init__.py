"""Who is stepped: naming, making, wrapping and watching environments."""
