"""How fast a student acts, beside Stable-Baselines3."""
