"""Fitted models as plain numbers, which NumPy alone can check and apply."""
