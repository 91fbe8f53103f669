"""Kinks in more than one dimension: what points nearby tell of a gradient at one."""
