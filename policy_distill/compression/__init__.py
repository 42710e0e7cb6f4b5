"""Which student is the smallest that provably keeps the return."""
