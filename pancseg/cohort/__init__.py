"""Find the cases of a cohort and their masks, and name them."""
