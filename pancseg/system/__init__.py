"""What is asked of the operating system: threads, files, logs, time."""
