"""Several teachers of one task, each by itself: what each scores alone, and who of them is best."""
