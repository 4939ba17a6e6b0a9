"""Files beside a label map name its labels."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.features.regions import region_of
from pancseg.running.keys import of_given_mask
from pancseg.scans.masks import named_segments, read_mask

SNAP = """################################################
# ITK-SnAP Label Description File
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "duodenum"
    2     0  255    0     0.50  1  1    "Pancreas"
"""
BESIDE = {
    "P1.tsv": "index\tname\tabbreviation\n1\tduodenum\tD\n2\tPancreas\tP\n",
    "dseg.tsv": "index\tname\n1\tduodenum\n2\tPancreas\n",
    "P1.label": SNAP,
    "P1.txt": SNAP,
    "labels.txt": SNAP,
    "P1.json": '{"1": "duodenum", "2": "Pancreas"}',
    "class_map.json": '{"1": "duodenum", "2": "Pancreas"}',
    "dataset.json": '{"labels": {"background": 0, "duodenum": 1, "Pancreas": 2}}',
    "../dataset.json": '{"labels": {"0": "background", "1": "duodenum", "2": "Pancreas"}}',
}


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Return a label map with the labels 1 and 2."""
    voxels = np.zeros((4, 6, 5), np.uint8)
    voxels[1], voxels[2] = 1, 2
    (tmp_path / "labelsTr").mkdir()
    path = tmp_path / "labelsTr" / "P1.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
    return path


TABLE = """<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <VolumeInformation Index="0">
<LabelTable><Label Key="0" Red="0.1"><![CDATA[background]]></Label>
<Label Key="1" Red="0.2" Green="0.1" Blue="0.1" Alpha="1"><![CDATA[duodenum]]></Label>
<Label Key="2" Red="0.9" Green="0.1" Blue="0.1" Alpha="1"><![CDATA[Pancreas]]></Label>
</LabelTable></VolumeInformation></CaretExtension>"""


@pytest.mark.parametrize(("suffix", "ecode"), [(".nii", 0), (".nii.gz", 0), (".nii.gz", 30)])
def test_a_label_table_in_the_header_names_the_labels(
    tmp_path: Path, suffix: str, ecode: int
) -> None:
    """TotalSegmentator writes it with the code 0; Connectome Workbench with 30."""
    voxels = np.zeros((5, 6, 4), np.uint8)
    voxels[..., 1], voxels[..., 2] = 1, 2
    image = nibabel.Nifti1Image(voxels, np.diag([-1, -1, 2, 1]))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(ecode, TABLE.encode()))
    path = tmp_path / f"P1{suffix}"
    nibabel.save(image, path)
    (tmp_path / "P1.json").write_text('{"1": "stomach"}')  # the file's own names come first
    assert [(each.name, each.values) for each in named_segments(path)] == [
        ("duodenum", (1,)),
        ("Pancreas", (2,)),
    ]
    region = region_of(read_mask(path), None)
    assert int(sitk.GetArrayFromImage(region.image).sum()) == 5 * 6


def test_another_extension_names_nothing(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((5, 6, 4), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"<Label Key=x>" * 9))
    nibabel.save(image, tmp_path / "P1.nii.gz")
    assert named_segments(tmp_path / "P1.nii.gz") == ()


@pytest.mark.parametrize("name", BESIDE)
def test_the_file_beside_a_label_map_names_its_labels(mask: Path, name: str) -> None:
    assert region_of(read_mask(mask), None).labels == (1, 2)
    (mask.parent / name).write_text(BESIDE[name])
    region = region_of(read_mask(mask), None)
    assert (region.labels, region.made_of) == ((2,), "pancreas")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("P1.txt", "some notes about the patient\n"),
        ("labels.txt", "1 duodenum\n"),
        ("P1.json", '{"EchoTime": 3}'),
        ("P1.json", "[1"),
        ("P1.tsv", "a\tb\n1\t2\n"),
        ("dataset.json", '{"name": "no labels here"}'),
    ],
)
def test_other_files_name_nothing(mask: Path, name: str, text: str) -> None:
    (mask.parent / name).write_text(text)
    assert named_segments(mask) == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset.json", "{"),
        ("dataset.json", '{"labels": {"pancreas": "x"}}'),
        ("dataset.json", '{"labels": {"1": 7}}'),
        ("class_map.json", "nonsense"),
        ("dseg.tsv", "index\tname\nx\tpancreas\n"),
    ],
)
def test_a_file_of_names_that_makes_no_sense_is_refused(mask: Path, name: str, text: str) -> None:
    (mask.parent / name).write_text(text)
    with pytest.raises(UnusableCase, match=f"{name} beside it cannot be read") as refused:
        read_mask(mask)
    assert refused.value.code == "unreadable"


def test_a_region_of_several_labels_is_one_segment(mask: Path) -> None:
    (mask.parent / "dataset.json").write_text('{"labels": {"pancreas": [1, 2], "tumour": 2}}')
    assert region_of(read_mask(mask), "pancreas").labels == (1, 2)
    assert region_of(read_mask(mask), "pancreas without tumour").labels == (1,)


def test_the_key_of_a_mask_changes_with_its_names_and_with_nothing_else(mask: Path) -> None:
    unnamed = of_given_mask(mask)
    beside = mask.parent / "dataset.json"
    beside.write_text('{"labels": {"pancreas": 1}}')
    first = of_given_mask(mask)
    beside.write_text('{"labels": {"pancreas": 1}, "name": "other"}')
    assert of_given_mask(mask) == first
    beside.write_text('{"labels": {"pancreas": 2}}')
    assert len({unnamed, first, of_given_mask(mask)}) == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("P1.tsv", "index\tname\n1\tduodenum\n1\tPancreas\n"),
        ("P1.label", SNAP.replace("    2  ", "    1  ")),
        ("dataset.json", '{"labels": {"background": 0, "duodenum": 1, "Pancreas": 1}}'),
    ],
)
def test_a_label_with_two_names_is_of_no_organ(mask: Path, name: str, text: str) -> None:
    (mask.parent / name).write_text(text)
    for read in (read_mask, named_segments):
        with pytest.raises(UnusableCase, match="two names for label 1; correct") as refused:
            read(mask)
        assert refused.value.code == "unreadable"


def test_one_name_twice_is_one_name(mask: Path) -> None:
    (mask.parent / "P1.tsv").write_text("index\tname\n2\tPancreas\n2\tpancreas \n")
    assert {each.values for each in named_segments(mask)} == {(2,)}
