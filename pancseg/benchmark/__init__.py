"""Benchmark pancseg: the paper's inference times, whole patients stage by stage, and features."""
