"""Measure speed: the paper's table of inference times, and whole patients stage by stage."""
