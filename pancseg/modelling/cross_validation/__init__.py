"""Repeated nested cross-validation: its plan, its folds, and the models fitted in them."""
