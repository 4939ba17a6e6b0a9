"""Readers of the single-file formats: NIfTI, NRRD and MetaImage."""
