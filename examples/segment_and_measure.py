"""One scan, from file to features, in plain Python.

Usage: python examples/segment_and_measure.py SCAN [WEIGHTS]
"""

import sys

from pancseg.features.extract import extract_features
from pancseg.scans.reading import read_scan
from pancseg.scans.writing import write_scan
from pancseg.segmentation.segmenter import load_segmenter

scan = read_scan(sys.argv[1])
segmenter = load_segmenter(*sys.argv[2:])
mask = segmenter.segment(scan)
write_scan(mask, "pancreas.nii.gz")
row = extract_features(scan, mask, "pyradiomics_default")
for name in ("original_shape_MeshVolume", "original_firstorder_Median"):
    print(f"{name}: {row[name]:.1f}")
