"""Make synthetic patients: a seeded portal-venous abdominal CT with a known pancreas.

The modules import each other in the order ``shapes`` ← ``pancreas`` ← ``anatomy`` ← ``scanner``,
and nothing outside this package.

Anatomy is described in millimetres in the patient's frame (x to the patient's left, y to
posterior, z to superior) as ellipsoids and tubes with signed distances, so every grid shows the
same patient. Shapes are painted in order, later ones over earlier ones. Their soft edges model the
in-plane point spread; averaging sub-slices models the slice thickness.
"""

from pancseg.phantom.scanner import PANCREAS_LABEL, TUMOUR_LABEL, Phantom, make_phantom
from pancseg.phantom.shapes import ORGANS

__all__ = ["ORGANS", "PANCREAS_LABEL", "TUMOUR_LABEL", "Phantom", "make_phantom"]
