"""From the table to subtype and survival, everything fitted within the fold."""
