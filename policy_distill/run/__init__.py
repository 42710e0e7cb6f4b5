"""A distillation from end to end, its folder and its checkpoints."""
