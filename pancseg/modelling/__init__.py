"""Fit and validate models that predict a class or survival from a table of features."""
