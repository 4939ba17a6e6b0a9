"""The only door to pyradiomics (the package ``radiomics``)."""
