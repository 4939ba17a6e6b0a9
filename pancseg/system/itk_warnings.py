"""Switch ITK's warnings off, because they name files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk


class _ItkWarnings:
    """ITK's switch for warnings, which is off while any thread wants it off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users, self._before = 0, True

    def off(self) -> None:
        """Switch warnings off until as many calls of ``back``."""
        with self._lock:
            if not self._users:
                self._before = sitk.ProcessObject.GetGlobalWarningDisplay()
                sitk.ProcessObject.SetGlobalWarningDisplay(False)
            self._users += 1

    def back(self) -> None:
        """End one ``off``; the last one sets the switch as it was."""
        with self._lock:
            self._users -= 1
            if not self._users:
                sitk.ProcessObject.SetGlobalWarningDisplay(self._before)


_ITK_WARNINGS = _ItkWarnings()


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Switch ITK's warnings off for the block. Several threads may do so at once."""
    _ITK_WARNINGS.off()
    try:
        yield
    finally:
        _ITK_WARNINGS.back()
