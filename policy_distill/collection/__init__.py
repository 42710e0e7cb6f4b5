"""Who acts and what is gathered."""
