"""Where scans are processed: here, in child processes, on a cluster."""
