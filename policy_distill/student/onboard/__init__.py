"""What a student carries for the machine that it runs on: names, a control rate, and a monitor of what it sees."""
