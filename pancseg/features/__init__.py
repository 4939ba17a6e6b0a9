"""CT + mask → radiomics features. ``features.extract(scan, mask)`` returns one row."""

from pancseg.features.extract import extract, measure
from pancseg.features.settings_check import check

__all__ = ["check", "extract", "measure"]
