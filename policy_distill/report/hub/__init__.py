"""What a student looks like on the Hugging Face hub: its card, and the files beside it."""
