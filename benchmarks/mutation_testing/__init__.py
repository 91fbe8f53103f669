"""Faults planted in our own code, and whether the tests see them."""
