"""What people decide about masks: accepted, rejected, commented."""
