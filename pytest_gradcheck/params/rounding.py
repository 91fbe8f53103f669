"""The precision that a number shows: whether it was computed in float32, float16 or bfloat16."""

from __future__ import annotations

from math import ceil, frexp, isfinite, log10

__all__ = ["DOUBLE", "TYPES", "digits_shown"]

DOUBLE = 53
"""Binary digits of float64."""

TYPES = {24: "float32", 11: "float16", 8: "bfloat16"}
"""By the binary digits of coarser types, their names."""

COARSER = ((8, 6), (11, 9), (24, 12))
"""Binary digits of bfloat16, float16 and float32, and up to how many a number is too short to have
been rounded to these: 2**-10 is exact in all. Of four numbers in bfloat16, three are longer."""

MORE = 3
"""So many decimals more than a type is good for has what was rounded to it, or it may as well be a
short number of float64, such as 150. A longer one fits into float32 in one of 2**29 cases."""


def digits_shown(number: float) -> int:
    """Return the binary digits that a number was computed with, as far as it shows.

    Examples
    --------
    >>> import numpy as np
    >>> [digits_shown(float(x)) for x in (0.1, np.float32(0.1), np.float16(0.1), 0.5)]
    [53, 24, 11, 53]
    """
    if not isfinite(number):
        return DOUBLE
    mantissa = frexp(number)[0]
    for digits, few in COARSER:
        if (mantissa * 2.0**digits).is_integer():
            is_short = (mantissa * 2.0**few).is_integer()
            is_round = _decimals(number) < ceil(digits * log10(2)) + MORE
            return DOUBLE if is_short or is_round else digits
    return DOUBLE


def _decimals(number: float) -> int:
    """Return how many significant decimals a number is written with."""
    return len(repr(abs(number)).split("e")[0].replace(".", "").strip("0"))
