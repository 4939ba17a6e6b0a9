"""Trains a network: (CT, mask) pairs → checkpoint."""
