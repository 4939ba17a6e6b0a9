"""One scan, from file to features, in plain Python.

Usage: python examples/segment_and_measure.py SCAN [WEIGHTS]
"""

import sys

import pancseg

scan = pancseg.read_scan(sys.argv[1])
segmenter = pancseg.load_segmenter(*sys.argv[2:])
mask = segmenter.segment(scan)
pancseg.write_scan(mask, "pancreas.nii.gz")
row = pancseg.measure(scan, mask, "pyradiomics_default")
print(f"{row['qc_status']} {row['qc_reasons']}")
for name in ("original_shape_MeshVolume", "original_firstorder_Median"):
    print(f"{name}: {row[name]:.1f}")
