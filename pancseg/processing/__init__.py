"""Process one scan in the current process: from its cases to their rows of the table."""
