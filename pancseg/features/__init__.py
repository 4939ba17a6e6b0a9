"""CT and mask → radiomics features: one row per region."""
