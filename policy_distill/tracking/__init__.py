"""Sinks of metrics: `metrics.jsonl`, Weights & Biases, and several at once."""
