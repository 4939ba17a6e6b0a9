"""Look at the rows of an output folder in a browser, judge their masks and correct them.

``pancseg view OUT`` serves one page on this machine alone. ``server`` speaks HTTP and refuses what
does not come from that page, ``api`` answers, and the other modules do one thing each: ``rows``
reads the table, ``mask_files`` finds masks, ``volumes`` and ``masks`` read scans and masks,
``part`` chooses what of a scan is sent, ``saving`` saves masks, ``reviews`` decisions.
"""
