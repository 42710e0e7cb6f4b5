"""A monitor for a student: episodes that it plays, what they span, and where novelty begins."""
