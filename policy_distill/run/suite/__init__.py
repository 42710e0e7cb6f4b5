"""Many runs as one: a grid of teachers, environments, students and seeds, on local cores or on a cluster."""
