"""CT + mask → radiomics features. ``features.extract(scan, mask)`` returns one row."""

from pancseg.features.extract import extract
from pancseg.features.pyradiomics_backend import check

__all__ = ["check", "extract"]
