"""Correct backward passes in as many styles as people write them.

Each module has a function ``problem`` that returns the pair, and ``BACKWARD``, the names of the
functions whose lines belong to the backward pass: all of them, or those below a comment
``# backward``.
"""
