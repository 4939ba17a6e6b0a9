"""Scan and region → verdict."""
