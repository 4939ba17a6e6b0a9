"""Run a cohort: from its scans to masks and a table of features."""
