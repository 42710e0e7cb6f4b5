"""Which student of a run is kept, and when a run has enough: students judged on episodes of their own."""
