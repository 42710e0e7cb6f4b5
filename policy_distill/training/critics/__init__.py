"""Value functions that learn beside a student, and what they are learnt from."""
