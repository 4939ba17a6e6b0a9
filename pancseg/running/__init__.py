"""Process the scans of a cohort in workers, and reuse the results of earlier runs.

``worker`` processes one scan. ``executors`` run workers in this process, in child processes or on a
Dask cluster. ``journal`` records the results, and ``run`` ties these together.
"""
