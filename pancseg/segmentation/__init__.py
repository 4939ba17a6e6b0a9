"""CT → mask of the pancreas."""

DEFAULT_WEIGHTS = "monet_open"
DEFAULT_ENGINE = "auto"
DEFAULT_PRECISION = "fp32"
