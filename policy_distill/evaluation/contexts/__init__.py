"""How teacher and student bear what was seen in training, and what was not."""
