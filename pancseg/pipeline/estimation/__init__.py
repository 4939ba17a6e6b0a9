"""Estimate how long a run will take: what is to do, how fast this machine is, both together.

``workload`` reads headers, ``trial`` measures on made-up scans, ``estimate`` puts them together.
"""
