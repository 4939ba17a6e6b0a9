"""Mode ``pyradiomics``, and the only code that imports pyradiomics (the package ``radiomics``)."""
