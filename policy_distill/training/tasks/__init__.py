"""One body for several tasks: what is shared of it, how it learns of all of them at once, and what each weighs."""
