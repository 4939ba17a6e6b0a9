"""Features as the Image Biomarker Standardisation Initiative defines them."""
