"""(CT, mask) pairs → checkpoint. ``python -m pancseg.training RECIPE --data DIR --out RUN``."""
