"""(CT, mask) pairs → training slices."""
