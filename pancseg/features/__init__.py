"""Compute radiomics features of a region of a CT: one row per region."""

DEFAULT_PRESET = "pancreas_ct"
