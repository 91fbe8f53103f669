"""What an adapter says of a library's value."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Taken(NamedTuple):
    """A library's value, taken apart.

    Attributes
    ----------
    parts : dict, list, array or float
        What it holds by name or by position; or the numbers of the whole. An empty list where it
        holds no floats.
    rebuild : callable
        Makes such a value of other parts in the same form.
    digits : int
        Binary digits that the numbers of such a value have, 53 for float64.
    write : callable, optional
        Writes other numbers into the value itself, where `parts` is a copy of them.
    is_fixed : bool
        Whether the value cannot be written to at all: its holder gets another one.
    array : callable, optional
        Returns all of an array, of any dtype, as NumPy's.
    entries : callable, optional
        Takes a gradient like the whole value and returns the part that belongs to `parts`.
    """

    parts: Any
    rebuild: Callable[[Any], Any]
    digits: int = 53
    write: Callable[[Any], None] | None = None
    is_fixed: bool = False
    array: Callable[[], npt.NDArray[Any]] | None = None
    entries: Callable[[Any], Any] | None = None


DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Binary digits of floats by the name of their dtype, the implicit one included."""

EIGHT_BITS = 4
"""Of the float8 types: at most."""


@cache
def digits_of(dtype: Any) -> int:
    """Return the binary digits of a float dtype, at most those of float64.

    Examples
    --------
    >>> digits_of(np.dtype("float32")), digits_of("bfloat16")
    (24, 8)
    """
    name = str(dtype).rpartition(".")[2]
    if name in DIGITS:
        return DIGITS[name]
    if name.startswith("float8"):
        return EIGHT_BITS
    kind = np.dtype(dtype)
    return min(np.finfo(kind).nmant + 1, 53) if kind.kind in "fc" else 53


def nothing(value: Any, array: Callable[[], npt.NDArray[Any]] | None = None) -> Taken:
    """Return a value that holds no floats, and stays as it is."""
    return Taken([], lambda _: value, array=array)
