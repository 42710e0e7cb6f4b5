"""Beyond the teacher: a student goes on by reward, and never ends worse than it began."""
