"""Makes an enhanced CT: one DICOM file with several frames, without their pixels."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage


def enhanced(frames: int) -> FileDataset:
    """Return an enhanced CT of 16 × 12 pixels, without them."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = EnhancedCTImageStorage, "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = EnhancedCTImageStorage, "1.2.3", "1.2"
    ds.Modality, ds.NumberOfFrames, ds.SamplesPerPixel = "CT", frames, 1
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 16, 16, 15
    ds.PixelRepresentation = 0
    shared, turn, measures, scale = Dataset(), Dataset(), Dataset(), Dataset()
    turn.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.7, 0.7]
    scale.RescaleSlope, scale.RescaleIntercept = 1, -1024
    shared.PlaneOrientationSequence = Sequence([turn])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([scale])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for number in range(frames):
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -20, 2.0 * number]
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return ds
