"""Online half."""
