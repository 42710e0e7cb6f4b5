"""What has nothing to do with policies: files, locks, threads, processes, signals, words."""
