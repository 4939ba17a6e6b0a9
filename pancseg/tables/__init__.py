"""Write rows as files: the table, its codebook and its description."""
