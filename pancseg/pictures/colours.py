"""The colours of contours: Okabe and Ito's palette, which colour-blind readers tell apart."""

CONTOUR = "#e69f00"
"""Orange: the mask as it was drawn."""
MEASURED = "#56b4e9"
"""Sky blue: the region on the grid of the features."""
REMOVED = "#d55e00"
"""Vermilion: voxels that re-segmentation took out."""
LABELS = (CONTOUR, MEASURED, "#009e73", "#f0e442", "#cc79a7", "#0072b2", REMOVED)
"""One colour for each label of a map, in turn."""
