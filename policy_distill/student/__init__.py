"""What a student is: spaces, features, layers, its file, and acting with NumPy alone."""
