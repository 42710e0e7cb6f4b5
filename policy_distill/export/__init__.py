"""Students in other forms, one file each."""
