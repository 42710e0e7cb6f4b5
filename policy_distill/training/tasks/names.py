"""What may be asked of how tasks share a student; without torch, since help pages need no more."""

BALANCES = ("divergence", "entropy", "none")
"""What the loss of a task is divided by."""
INPUTS = ("own", "padded")
"""How first layers are shared where the student is told its task."""
