"""CT + mask → radiomics features. ``features.extract(scan, mask)`` returns one row."""

from pancseg.features.check import check
from pancseg.features.extract import extract, measure

__all__ = ["check", "extract", "measure"]
