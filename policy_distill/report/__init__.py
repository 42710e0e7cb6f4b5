"""One self-contained HTML page for a run, or for a folder of runs."""
