"""Find the mask of a scan in the output folder, and whose it is."""

from __future__ import annotations

from pancseg.errors import OutputError
from pancseg.review.look import CORRECTED, DRAWN
from pancseg.running import keys
from pancseg.running.mask_files import corrections_of, holds_something
from pancseg.running.messages import MadeFrom, Request


class ExistingMask:
    """The mask of a scan that is already in the output folder, if there is one.

    Args:
        request: the rows of the scan; without a folder of masks there is no mask.
        made: what the network would make the mask from now.

    Attributes:
        made: what the network would make the mask from now.
        path: where it is: the network's own name, or that of a correction beside it.
        digest: hash of its file; empty if there is none.
        usable: the mask can be used unchanged.
        looks_dice: agreement of the first look with both; None if there were not two, and of a
            person's mask.
        by_person: the ``qc_mask_source`` of a person's mask: ``corrected`` if the network made one
            of the same scan, ``drawn`` if it found nothing; empty for the network's own.
        foreign: why the mask can be neither used nor replaced; empty if it can.
    """

    def __init__(self, request: Request, made: MadeFrom) -> None:
        self.made = made
        self.digest = ""
        self.usable, self.by_person = False, ""
        self.looks_dice: float | None = None
        self.foreign = ""
        if request.masks is None:
            return
        self._own = self.path = request.mask_path
        earlier = request.earlier_masks
        corrections = corrections_of(self._own, request.other_scans)
        if corrections:
            self.path, self.digest = corrections[0], keys.of_given_mask(corrections[0])
        if holds_something(self._own):
            own = keys.of_file(self._own)
            if corrections and own not in earlier:
                corrections.append(self._own)
            self.digest = self.digest or own
        elif not corrections:
            return
        if len(corrections) > 1:
            self.foreign = (
                f"the output folder has {len(corrections)} corrected masks of this scan; keep one "
                "of them, and remove the others"
            )
            return
        if self.digest in earlier and not corrections:
            self.usable = earlier[self.digest].key == made.key
            self.looks_dice = earlier[self.digest].looks_dice
        elif made.scan and made.scan in {one.scan for one in earlier.values()}:
            self.usable, self.by_person = True, CORRECTED
        elif made.scan and made.scan in request.drawn_on:
            self.usable, self.by_person = True, DRAWN
        else:
            origin = _origin_of(made, list(earlier.values()))
            self.foreign = (
                f"the output folder has a mask of this scan that {origin}; "
                "give it by `masks`, or choose another `out`"
            )

    def remove(self) -> None:
        """Remove the mask, which was made from something else, unless it has been changed since.

        Raises:
            OutputError: it cannot be removed.
        """
        try:
            if holds_something(self._own) and keys.of_file(self._own) != self.digest:
                return
            self._own.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from error

    @property
    def key_or_digest(self) -> str:
        """What a row depends on: a corrected mask's bytes, or else what the mask is made from."""
        return self.digest if self.by_person or self.foreign else self.made.key


def _origin_of(made: MadeFrom, earlier: list[MadeFrom]) -> str:
    """Return where a mask comes from that the network has not made in its present form."""
    if not earlier:
        return "pancseg did not make"
    if not made.scan:
        return "was corrected, and the scan cannot be read"
    if not all(one.scan for one in earlier):
        return "was corrected under an earlier version of pancseg"
    return "was corrected on another scan"
