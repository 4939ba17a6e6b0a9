"""CT and mask → radiomics features: one row per region."""

DEFAULT_PRESET = "pancreas_ct"
