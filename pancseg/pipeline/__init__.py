"""A cohort → masks and a table of features."""
