"""Volume formats of a single file."""
