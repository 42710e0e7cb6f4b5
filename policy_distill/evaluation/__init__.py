"""Episodes, statistics, the proof, and what is compared."""
