"""What makes a network smaller while it learns: weights of few bits, and weights that are left out."""
