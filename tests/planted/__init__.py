"""Faults that are planted to see that a test catches each: what a safeguard guards against."""
