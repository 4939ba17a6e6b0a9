"""Measure the performance of models on patients that they were not fitted to."""
