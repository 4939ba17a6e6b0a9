"""Segment the pancreas: from a CT to a mask on the CT's grid."""

DEFAULT_WEIGHTS = "monet_open"
DEFAULT_ENGINE = "auto"
DEFAULT_PRECISION = "fp32"
