"""Owns the proof that this installation computes what IBSI agreed on.

``digital_phantom`` is IBSI's own and part of the package; its larger phantom is read from IBSI's
data repository (https://github.com/theibsi/data_sets), where there is a copy.
"""

from pancseg.selftest.configurations import ct_phantom, digital_phantom
from pancseg.selftest.score import REFERENCES, Agreement

__all__ = ["REFERENCES", "Agreement", "ct_phantom", "digital_phantom"]
