"""Segment the pancreas: from a CT to a mask on the CT's grid."""

DEFAULT_WEIGHTS = "monet_open"
DEFAULT_ENGINE = "auto"
DEFAULT_PRECISION = "fp32"
MOST_LOOKS = 2
"""Networks that one file of weights may hold, each of which looks at a scan."""
MOST_KEPT_BYTES = 48 * 10**6
"""Most memory for what the first of two looks gave: 183 slices of 256×256 pixels."""
