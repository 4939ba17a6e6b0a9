"""Compare masks with reference masks: measures, statistics, tables and a plot."""
