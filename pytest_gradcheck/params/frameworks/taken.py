"""The parts of a library's value, as an adapter returns them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Taken(NamedTuple):
    """A flattened value of a library.

    Attributes
    ----------
    parts : dict, list, array or float
        Its children by name or by position, or all of its numbers. An empty list if it holds no
        floats.
    rebuild : callable
        Makes such a value of other parts in the same form.
    digits : int
        Binary digits of its numbers, 53 for float64.
    write : callable, optional
        Writes other numbers into the value itself, where `parts` is a copy of them.
    is_fixed : bool
        Whether the value is immutable, so that its holder gets another one.
    array : callable, optional
        Returns the whole array, of any dtype, as a NumPy array.
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
"""The same of the float8 types, at most."""


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
    """Return a value without floats, which stays unchanged."""
    return Taken([], lambda _: value, array=array)
