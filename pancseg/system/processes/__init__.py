"""This process and its children: what they import, their streams, and what the system grants."""
