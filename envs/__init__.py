"""One file an environment: its id, the settings that train a teacher for it, and what to expect."""
