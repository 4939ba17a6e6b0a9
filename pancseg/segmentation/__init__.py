"""CT → mask of the pancreas."""
