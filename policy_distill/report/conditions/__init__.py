"""Tables and pictures of comparisons under perturbations and in contexts."""
