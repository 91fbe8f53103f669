"""Differences of many outputs at once: one pair of calls along a direction serves all of them."""
