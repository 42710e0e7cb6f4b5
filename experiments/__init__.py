"""One script an environment; run as `python -m experiments.cartpole` from the root."""
