"""Masks + reference masks → measures, statistics, tables and a plot: ``evaluate.evaluate``."""
