"""Write masks and measurements of an output folder in the formats of other programs.

``export`` goes through the scans; ``rows`` chooses what of the table is exported, ``scan`` reads
scan and masks, and each target has a file: ``dicom_seg``, ``dicom_sr``, ``rtstruct``, ``bids`` and
``slicer``.
"""
