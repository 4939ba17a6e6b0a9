"""Prepare training data: from pairs of CTs and masks to slices on the network's grid."""
