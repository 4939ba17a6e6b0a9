"""CT → mask of the pancreas. ``segmentation.load()`` returns a :class:`Segmenter`."""

from pancseg.segmentation.segmenter import Segmenter, load

__all__ = ["Segmenter", "load"]
