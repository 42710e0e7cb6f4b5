"""Trees: students that learn from labelled states without gradients."""
