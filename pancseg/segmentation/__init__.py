"""Segment the pancreas: from a CT to a mask on the CT's grid."""

DEFAULT_WEIGHTS = "monet_taught"
DEFAULT_ENGINE = "auto"
DEFAULT_PRECISION = "fp32"
MOST_LOOKS = 2
"""Networks that one file of weights may hold, each of which looks at a scan."""
