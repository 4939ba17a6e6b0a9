"""The report of a saved model on new patients with known outcomes."""
