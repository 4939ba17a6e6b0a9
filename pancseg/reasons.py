"""What every code in ``qc_reasons`` means, and what to do about it.

Remedies name parameters in backticks. Knows nothing about how cases are judged.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

ReasonCode = Literal[
    "unreadable",
    "not_3d",
    "not_scalar",
    "one_slice",
    "several_series",
    "no_series",
    "uneven_slices",
    "tilted",
    "not_hu",
    "thick_slices",
    "phase",
    "duplicate",
    "no_mask",
    "no_pancreas",
    "mask_exists",
    "empty_mask",
    "no_label",
    "not_labels",
    "several_labels",
    "empty_region",
    "geometry",
    "volume",
    "fragmented",
    "truncated",
    "gap",
    "hu_range",
    "fat",
    "dense",
    "uncertain",
    "resegmented",
    "too_small",
    "fine_grid",
    "not_flat",
    "no_texture",
    "many_levels",
    "narrow_filter",
    "wide_filter",
    "missing_values",
    "memory",
    "timeout",
    "killed",
    "crashed",
]
"""Every code of ``qc_reasons`` but the names of exceptions, which are bugs."""

EvaluationCode = Literal["no_prediction", "no_reference"]
"""What only ``evaluate`` says of a pair of masks."""


class Reason(NamedTuple):
    """What a code says.

    Attributes:
        status: ``warn``, ``fail``, ``warn or fail`` or ``error``.
        happened: what is wrong.
        remedy: what to do.
    """

    status: str
    happened: str
    remedy: str


_LOOK = "look at scan and mask; correct the mask, or accept it"
_LIMIT = "use a better scan, or change the limit (`pancseg: quality:`)"

REASONS: dict[ReasonCode, Reason] = {
    "unreadable": Reason(
        "fail",
        "no such file, no image, damaged, truncated, or a folder without DICOM",
        "copy or export it again",
    ),
    "not_3d": Reason("fail", "not one 3-D volume", "export the one series"),
    "not_scalar": Reason("fail", "colours or complex numbers instead of HU", "export the CT"),
    "one_slice": Reason("fail", "a single slice", "give the whole series"),
    "several_series": Reason(
        "fail", "a DICOM folder with several series", "name one by `series_uid`"
    ),
    "no_series": Reason("fail", "no DICOM series fits `series_uid`", "correct it"),
    "uneven_slices": Reason("fail", "a DICOM slice is missing or doubled", "export it again"),
    "tilted": Reason("fail", "tilted gantry", "resample the scan to upright axes"),
    "not_hu": Reason(
        "warn or fail",
        "values that cannot be HU, or not finite; warn: no air in the scan",
        "rescale or export it again",
    ),
    "thick_slices": Reason("warn or fail", "slices far apart, or thick", _LIMIT),
    "phase": Reason(
        "warn",
        "the DICOM text names another phase than portal venous",
        "choose the portal-venous series",
    ),
    "duplicate": Reason(
        "warn or fail",
        "the same scan under two ids; fail: in `check`, also moved or turned",
        "find out whose scan it is",
    ),
    "no_mask": Reason(
        "fail", "no mask was given and none can be made", "give one, or segment first"
    ),
    "no_pancreas": Reason("fail", "the network found nothing", "draw the mask"),
    "mask_exists": Reason(
        "fail",
        "the output holds a mask of it from elsewhere, or of another scan; it was left alone",
        "give it by `masks`, or choose another `out`",
    ),
    "empty_mask": Reason("fail", "the mask has no voxel", "draw it"),
    "no_label": Reason("fail", "the mask lacks the label asked for", "correct label or mask"),
    "not_labels": Reason("fail", "the mask holds fractions", "threshold it"),
    "several_labels": Reason(
        "fail", "the mask has several labels, none named", "name one: `label`, `roi`"
    ),
    "empty_region": Reason("fail", "no voxel lies in the ring", "widen it"),
    "geometry": Reason(
        "fail", "scan and mask on different grids, or sheared axes", "resample the mask"
    ),
    "volume": Reason("warn or fail", "volume beyond the norms of a pancreas", _LOOK),
    "fragmented": Reason("warn or fail", "the region is in pieces", _LOOK),
    "truncated": Reason(
        "warn",
        "the region touches the scan's edge; shape features are empty",
        "use a scan that shows all of it, or leave out volumes",
    ),
    "gap": Reason("warn", "empty slices within the region", _LOOK),
    "hu_range": Reason("warn or fail", "median HU unlike a pancreas", _LOOK),
    "fat": Reason("warn or fail", "much of the region is fat", _LOOK),
    "dense": Reason("warn or fail", "stents, calcifications or bone in the region", _LOOK),
    "uncertain": Reason("warn or fail", "masks made with dropout disagree", _LOOK),
    "resegmented": Reason(
        "warn or fail",
        "many voxels lie outside the HU range of the features",
        "clip the region, or change `resegmentRange`",
    ),
    "too_small": Reason("fail", "too few voxels for the features", "look at the mask"),
    "fine_grid": Reason(
        "fail",
        "more than 200 million voxels to resample the region to",
        "take larger ones (`resampledPixelSpacing`)",
    ),
    "not_flat": Reason(
        "fail", "2-D shapes asked for of a region of several slices", "leave out `shape2D`"
    ),
    "no_texture": Reason(
        "warn", "one voxel thick, or none touch: texture features are empty", "look at the mask"
    ),
    "many_levels": Reason("fail", "more than 1,000 grey levels", "take wider bins"),
    "narrow_filter": Reason(
        "warn", "a LoG narrower than 0.75 voxels: its features are empty", "take a wider one"
    ),
    "wide_filter": Reason(
        "warn",
        "a LoG wider than the scan around the region: its features are empty",
        "raise `padDistance`, or leave it out",
    ),
    "missing_values": Reason(
        "warn", "some features could not be computed; they are empty", "leave them out"
    ),
    "memory": Reason(
        "fail", "the case needs more memory than there is", "raise `memory_bytes`, or crop the scan"
    ),
    "timeout": Reason("error", "the case took longer than `timeout_s`", "raise it, run again"),
    "killed": Reason(
        "error", "the system ended the worker, mostly for lack of memory", "fewer `workers`"
    ),
    "crashed": Reason(
        "error", "the worker process broke down on this case", "run again; report it"
    ),
}
"""In the order in which things can go wrong on the way from scan to row."""

EXCEPTION = Reason("error", "a bug in pancseg, by the exception's name", "report it")
"""What any other code means, such as ``KeyError``."""
