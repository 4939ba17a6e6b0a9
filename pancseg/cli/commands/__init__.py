"""The commands: each parses its options, calls the library once, and prints."""
