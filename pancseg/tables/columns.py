"""Owns the columns before the features: their order, types, units and meaning.

A column that is not listed here or by the features' codebook comes between the two.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Type = Literal["string", "integer", "number"]


class Column(NamedTuple):
    """One column of every table.

    Attributes:
        name: as in the table.
        type: of its values; an empty cell is a missing value of that type.
        unit: ``mL``, ``mm``, … or ``none``.
        family: ``id``, ``quality`` or ``provenance``.
        description: one line; names in braces are the verdict's limits.
    """

    name: str
    type: Type
    unit: str
    family: str
    description: str


IDS = (
    Column("patient_id", "string", "none", "id", "the manifest's, or the name of file or folder"),
    Column("scan_id", "string", "none", "id", "tells scans of one patient apart"),
    Column("roi", "string", "none", "id", "name of the region"),
)
QUALITY = (
    Column("qc_status", "string", "none", "quality", "pass, warn, fail or error"),
    Column("qc_reasons", "string", "none", "quality", "codes that say why, joined by ;"),
    Column(
        "qc_mask_source",
        "string",
        "none",
        "quality",
        "given, corrected, or the weights that made it",
    ),
    Column("qc_mask_label", "string", "none", "quality", "which labels the region is made of"),
    Column("qc_volume_ml", "number", "mL", "quality", "volume of the region's voxels"),
    Column("qc_grid_mm", "string", "mm", "quality", "voxel size (x y z) of the features' grid"),
    Column("qc_components", "number", "none", "quality", "connected pieces of the region"),
    Column("qc_largest_share", "number", "none", "quality", "share of the largest piece"),
    Column("qc_touches_edge", "number", "none", "quality", "1: it touches the scan's edge"),
    Column("qc_empty_slices", "number", "none", "quality", "slices without it between others"),
    Column("qc_median_hu", "number", "HU", "quality", "median of the scan in the region"),
    Column("qc_fat_share", "number", "none", "quality", "share below {fat_below_hu:g} HU"),
    Column("qc_dense_share", "number", "none", "quality", "share above {dense_above_hu:g} HU"),
    Column("qc_lowest_hu", "number", "HU", "quality", "lowest value of the scan"),
    Column("qc_slice_mm", "number", "mm", "quality", "distance of the scan's slices"),
    Column("qc_slice_thickness_mm", "number", "mm", "quality", "thickness in the DICOM series"),
    Column("qc_phase_hint", "string", "none", "quality", "phase that the DICOM series' text names"),
    Column("qc_resegmented_share", "number", "none", "quality", "share left by re-segmentation"),
    Column("qc_uncertainty_dice", "number", "none", "quality", "mean Dice of masks with dropout"),
)
HASHES = (
    Column("image_sha256", "string", "none", "provenance", "hash of the scan's voxels and grid"),
    Column("mask_sha256", "string", "none", "provenance", "hash of the region's voxels and grid"),
    Column("settings_sha256", "string", "none", "provenance", "hash of the feature settings"),
)


def in_order(found: list[str]) -> list[str]:
    """Return all names listed here and all that were found: ids, quality, hashes, then the rest.

    Any other ``qc_`` column follows those that are listed.

    >>> in_order(["qc_new", "original_shape_Sphericity"])[21:]
    ['qc_uncertainty_dice', 'qc_new', 'image_sha256', 'mask_sha256', 'settings_sha256', \
'original_shape_Sphericity']
    """
    quality = [name for name in found if name.startswith("qc_")]
    first = [column.name for column in IDS + QUALITY]
    hashes = [column.name for column in HASHES]
    return list(dict.fromkeys([*first, *quality, *hashes, *found]))
