"""Read text that anybody may have written: YAML and JSON within limits, and excerpts of it.

And write numbers as text for people.
"""
