"""How well a model predicts, measured on patients that it was not fitted to."""
