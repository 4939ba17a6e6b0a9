"""The columns before the features: their order, types, units and meaning.

A column that is listed neither here nor in the features' codebook comes between the two.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pancseg.cohort.case import EXTRA_PREFIX
from pancseg.tables.value_labels import decoded

Type = Literal["string", "integer", "number"]


class Column(NamedTuple):
    """One column of every table.

    Attributes:
        name: name in the table.
        type: type of its values; an empty cell is a missing value of that type.
        unit: ``mL``, ``mm``, … or ``none``.
        family: ``id``, ``quality`` or ``provenance``.
        description: one line; names in braces are replaced by the verdict's limits.
    """

    name: str
    type: Type
    unit: str
    family: str
    description: str


IDS = (
    Column(
        "patient_id", "string", "none", "id", "from the manifest, or the name of the file or folder"
    ),
    Column("scan_id", "string", "none", "id", "distinguishes scans of one patient"),
    Column("roi", "string", "none", "id", "name of the region"),
)
QUALITY = (
    Column("qc_status", "string", "none", "quality", f"verdict: {decoded('qc_status')}"),
    Column(
        "qc_reasons",
        "string",
        "none",
        "quality",
        f"reason codes, joined by ; : {decoded('qc_reasons')}",
    ),
    Column(
        "qc_message",
        "string",
        "none",
        "quality",
        "what was found, with numbers; a sentence per reason, in their order",
    ),
    Column(
        "qc_mask_source",
        "string",
        "none",
        "quality",
        "given, corrected, or the weights that made the mask",
    ),
    Column("qc_mask_label", "string", "none", "quality", "labels that the region is made of"),
    Column("qc_volume_ml", "number", "mL", "quality", "volume of the region's voxels"),
    Column("qc_grid_mm", "string", "mm", "quality", "voxel size (x y z) of the features' grid"),
    Column("qc_components", "number", "none", "quality", "connected pieces of the region"),
    Column(
        "qc_largest_share", "number", "none", "quality", "share of the region in its largest piece"
    ),
    Column(
        "qc_touches_edge",
        "number",
        "none",
        "quality",
        "1 if the region touches the scan's edge, else 0",
    ),
    Column("qc_empty_slices", "number", "none", "quality", "empty slices within the region"),
    Column("qc_median_hu", "number", "HU", "quality", "median of the scan in the region"),
    Column(
        "qc_fat_share", "number", "none", "quality", "share of the region below {fat_below_hu:g} HU"
    ),
    Column(
        "qc_dense_share",
        "number",
        "none",
        "quality",
        "share of the region above {dense_above_hu:g} HU",
    ),
    Column("qc_lowest_hu", "number", "HU", "quality", "lowest value of the scan"),
    Column("qc_slice_mm", "number", "mm", "quality", "distance between the scan's slices"),
    Column(
        "qc_slice_thickness_mm", "number", "mm", "quality", "slice thickness in the DICOM series"
    ),
    Column(
        "qc_series_choice",
        "string",
        "none",
        "quality",
        "how the DICOM series was chosen where a folder holds several; empty without a choice",
    ),
    Column("qc_phase_hint", "string", "none", "quality", "phase named in the DICOM series' text"),
    Column(
        "qc_resegmented_share",
        "number",
        "none",
        "quality",
        "share of voxels left by re-segmentation",
    ),
    Column(
        "qc_uncertainty_dice",
        "number",
        "none",
        "quality",
        "mean Dice between masks made with dropout",
    ),
    Column(
        "qc_looks_dice",
        "number",
        "none",
        "quality",
        "Dice between the first look's mask and that of both looks",
    ),
)
HASHES = (
    Column("image_sha256", "string", "none", "provenance", "hash of the scan's voxels and grid"),
    Column("mask_sha256", "string", "none", "provenance", "hash of the region's voxels and grid"),
    Column("settings_sha256", "string", "none", "provenance", "hash of the feature settings"),
)


def is_extra(name: str) -> bool:
    """Return whether a column, by its name, is one that a manifest has beside the known ones."""
    return name.startswith(EXTRA_PREFIX)


def in_order(found: list[str]) -> list[str]:
    """Return all names listed here and all found ones: ids, quality, hashes, then the rest.

    Columns of the manifest (``x_``) follow the ids, other ``qc_`` columns the listed ones.

    >>> in_order(["qc_new", "original_shape_Sphericity"])[24:]
    ['qc_looks_dice', 'qc_new', 'image_sha256', 'mask_sha256', 'settings_sha256', \
'original_shape_Sphericity']
    """
    quality = [name for name in found if name.startswith("qc_")]
    carried = [name for name in found if is_extra(name)]
    ids, first = ([column.name for column in listed] for listed in (IDS, QUALITY))
    hashes = [column.name for column in HASHES]
    return list(dict.fromkeys([*ids, *carried, *first, *quality, *hashes, *found]))
