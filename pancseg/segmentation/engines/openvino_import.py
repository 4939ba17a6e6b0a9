"""Import OpenVINO without its telemetry; every other module imports it from here.

A plain ``import openvino`` reports the import to Intel over the internet and writes an identifier
to ``~/intel``, unless the user has opted out (2026.4.1, in ``openvino/tools/ovc/__init__.py``). A
program that reads CTs must not do that. If the package ``openvino_telemetry`` is missing, OpenVINO
uses a stub that does nothing. This module therefore hides that package during the import.
"""

from __future__ import annotations

import sys

_TELEMETRY = "openvino_telemetry"

if "openvino" not in sys.modules and _TELEMETRY not in sys.modules:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        del sys.modules[_TELEMETRY]
else:
    import openvino
from openvino import opset13 as operations  # noqa: E402

__all__ = ["openvino", "operations"]
