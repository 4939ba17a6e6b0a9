"""Which cases there are, where their masks lie, and what they are called."""
