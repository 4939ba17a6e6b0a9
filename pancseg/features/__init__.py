"""CT + mask → radiomics features. ``features.extract(scan, mask)`` returns one row."""

from pancseg.features.extract import check, extract, measure

__all__ = ["check", "extract", "measure"]
