"""Volumes: reading, writing, geometry."""
