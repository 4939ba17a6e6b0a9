"""Owns the synthetic patient: a seeded portal-venous abdominal CT with a known pancreas.

It does not know how a scan is stored, segmented or measured; it knows no module outside this
package. Inside, ``shapes`` ← ``pancreas`` ← ``anatomy`` ← ``scanner``, each knowing those before.

Anatomy is described in millimetres in the patient's frame (x to the patient's left, y to
posterior, z to superior) as ellipsoids and tubes with signed distances, so that every grid shows
the same patient. Shapes are painted in order, later ones over earlier ones. Their soft edges stand
for the in-plane point spread, the mean of sub-slices for the slice thickness.
"""

from pancseg.phantom.scanner import PANCREAS_LABEL, TUMOUR_LABEL, Phantom, make_phantom
from pancseg.phantom.shapes import ORGANS

__all__ = ["ORGANS", "PANCREAS_LABEL", "TUMOUR_LABEL", "Phantom", "make_phantom"]
