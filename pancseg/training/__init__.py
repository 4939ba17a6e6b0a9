"""Train a network: from pairs of CTs and masks to a checkpoint."""
