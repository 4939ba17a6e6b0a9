"""One scan → its rows, in this process."""
