"""States that are collected by workers, each of which steps some of the environments."""
