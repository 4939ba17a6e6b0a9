"""Mode ``ibsi``: features as the Image Biomarker Standardisation Initiative defines them."""
