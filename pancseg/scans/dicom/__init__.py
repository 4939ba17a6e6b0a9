"""DICOM series → volumes."""
