"""Rows → files: tables, codebook, description."""
