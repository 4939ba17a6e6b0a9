"""What every code in ``qc_reasons`` means, and what to do about it.

Remedies name parameters in backticks.
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
    "accepted",
    "rejected_by_reviewer",
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
"""Every code in ``qc_reasons``, except the names of exceptions, which are bugs."""

EvaluationCode = Literal["no_prediction", "no_reference"]
"""Codes that only ``evaluate`` gives, to a pair of masks."""


class Reason(NamedTuple):
    """The meaning of a code.

    Attributes:
        status: the ``qc_status`` that it leads to: ``warn``, ``fail``, ``warn or fail`` or
            ``error``.
        happened: what is wrong.
        remedy: what to do about it.
    """

    status: str
    happened: str
    remedy: str


_LOOK = "look at scan and mask; correct the mask, or accept it"
_LIMIT = "use a better scan, or change the limit (`pancseg: quality:`)"

REASONS: dict[ReasonCode, Reason] = {
    "unreadable": Reason(
        "fail",
        "file missing, damaged, truncated or not an image; or a folder without DICOM",
        "copy or export it again",
    ),
    "not_3d": Reason("fail", "not one 3-D volume", "export a single series"),
    "not_scalar": Reason("fail", "colours or complex numbers instead of HU", "export the CT"),
    "one_slice": Reason("fail", "a single slice", "give the whole series"),
    "several_series": Reason(
        "fail",
        "a folder with several DICOM series that fit, or none",
        "name one by `series_uid`: `pancseg series` lists them",
    ),
    "no_series": Reason("fail", "no DICOM series fits `series_uid`", "correct the UID"),
    "uneven_slices": Reason(
        "warn or fail",
        "a DICOM slice is missing, elsewhere or doubled; warn: copies left out",
        "put the series into one folder, or export it again",
    ),
    "tilted": Reason("fail", "tilted gantry", "resample the scan to upright axes"),
    "not_hu": Reason(
        "warn or fail",
        "values that cannot be HU, or not finite; warn: no air in the scan",
        "rescale or export it again",
    ),
    "thick_slices": Reason("warn or fail", "slices are thick or far apart", _LIMIT),
    "phase": Reason(
        "warn",
        "the DICOM text names another phase than portal venous",
        "choose the portal-venous series",
    ),
    "duplicate": Reason(
        "warn or fail",
        "the same scan under two ids; in `check`: fail, also if moved or turned",
        "find out whose scan it is",
    ),
    "no_mask": Reason(
        "fail", "no mask was given and none can be made", "give one, or segment first"
    ),
    "no_pancreas": Reason("fail", "the network found nothing", "draw the mask"),
    "mask_exists": Reason(
        "fail",
        "the output has a mask of this case from elsewhere or another scan; it was kept",
        "use it with `masks`, or choose another `out`",
    ),
    "empty_mask": Reason("fail", "the mask is empty", "draw it"),
    "no_label": Reason(
        "warn or fail",
        "the label asked for is not in the mask; warn: one to leave out",
        "correct label or mask",
    ),
    "not_labels": Reason(
        "warn or fail",
        "the mask holds fractions, or negative values; warn: a DICOM SEG, cut at half",
        "save whole numbers from 0, or threshold probabilities",
    ),
    "several_labels": Reason(
        "fail",
        "several labels or names, and none was chosen",
        "name one: `label`, `roi`",
    ),
    "empty_region": Reason("fail", "the ring has no voxels", "widen it"),
    "geometry": Reason(
        "warn or fail",
        "grids of scan and mask differ; sheared axes; warn: mended, or no orientation given",
        "resample the mask; set the orientation",
    ),
    "volume": Reason("warn or fail", "the volume is unusual for a pancreas", _LOOK),
    "fragmented": Reason("warn or fail", "the region is in pieces", _LOOK),
    "truncated": Reason(
        "warn",
        "the region touches the scan's edge; shape features are empty",
        "use a scan that shows all of it; drawn: `keep_truncated_shape`",
    ),
    "gap": Reason("warn", "empty slices within the region", _LOOK),
    "hu_range": Reason("warn or fail", "the median HU is unusual for a pancreas", _LOOK),
    "fat": Reason("warn or fail", "much of the region is fat", _LOOK),
    "dense": Reason("warn or fail", "stents, calcifications or bone in the region", _LOOK),
    "uncertain": Reason("warn or fail", "masks made with dropout disagree, or two looks", _LOOK),
    "accepted": Reason(
        "warn", "a person accepted the mask as it is", "nothing; it holds for this mask only"
    ),
    "rejected_by_reviewer": Reason(
        "fail", "a person rejected the mask; features are empty", "correct the mask, or accept it"
    ),
    "resegmented": Reason(
        "warn or fail",
        "many voxels are outside the HU range of the features",
        "clip the region, or change `resegmentRange`",
    ),
    "too_small": Reason("fail", "too few voxels for the features", "look at the mask"),
    "fine_grid": Reason(
        "fail",
        "the resampled region would have more than 200 million voxels",
        "choose larger voxels (`resampledPixelSpacing`)",
    ),
    "not_flat": Reason(
        "fail", "2-D shapes requested for a region of several slices", "leave out `shape2D`"
    ),
    "no_texture": Reason(
        "warn",
        "the region is one voxel thick, or no voxels touch; texture features are empty",
        "look at the mask",
    ),
    "many_levels": Reason("fail", "more grey levels than matrices can hold", "use wider bins"),
    "narrow_filter": Reason(
        "warn", "a LoG is narrower than 0.75 voxels; its features are empty", "use a wider one"
    ),
    "wide_filter": Reason(
        "warn",
        "a LoG is wider than the scan around the region; its features are empty",
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
    "crashed": Reason("error", "the worker process crashed on this case", "run again; report it"),
}
"""In the order in which things can go wrong on the way from scan to row."""

EXCEPTION = Reason("error", "a bug in pancseg; the code is the exception's name", "report it")
"""The meaning of any other code, such as ``KeyError``."""
