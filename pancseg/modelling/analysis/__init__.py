"""The analysis of a plan: leaks, performance, comparisons, calibration and decision curves."""
