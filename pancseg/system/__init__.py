"""Services of the operating system and of small libraries: threads, files, logs, time."""
