"""Read and write CT volumes, and relate their geometry."""
