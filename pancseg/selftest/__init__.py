"""Check that this installation computes the values that IBSI agreed on.

IBSI's digital phantom is part of the package. Its larger CT phantom is read from a copy of IBSI's
data repository (https://github.com/theibsi/data_sets), if there is one.
"""

from pancseg.selftest.configurations import ct_phantom, digital_phantom
from pancseg.selftest.score import REFERENCES, Agreement

__all__ = ["REFERENCES", "Agreement", "ct_phantom", "digital_phantom"]
