"""What several commands take alike: teachers, policies, tasks, tracking."""
