"""The page of a run: an output folder in, ``report/index.html`` out."""
