"""A cohort's scans → outcomes, in worker processes, resumed by content. Knows no tables.

``worker`` does the work on one scan; ``inline``, ``local`` and ``cluster`` are the places where
workers are: this process, child processes of it, a Dask cluster. ``journal`` keeps what was done.
"""
