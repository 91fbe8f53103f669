"""Refuse input that does not fit, in words that say what was found, where, and what to do.

A gradient check calls the cost thousands of times, so whatever runs in every call compares shapes
and scalars only; nothing here reads the entries of an array.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

import numpy as np

from ._types import Array, Params

T = TypeVar("T")


def named(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return what has that name; for a misspelt one, the error has the nearest right one."""
    if name in known:
        return known[name]
    nearest = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise ValueError(f"unknown {kind} {name!r}: {hint}known are {', '.join(map(repr, known))}")


def check_examples(name: str, X: Array) -> None:
    """Raise ValueError unless `X` is a matrix with at least one column."""
    if not isinstance(X, np.ndarray) or X.ndim != 2:
        found = f"shape {X.shape}" if isinstance(X, np.ndarray) else type(X).__name__
        raise ValueError(
            f"{name} is {found}: it must be a NumPy array with one column for each example, "
            "of shape (features, m)"
        )
    if X.shape[1] == 0:
        raise ValueError(f"{name} of shape {X.shape} holds no examples: it needs one column each")


def check_network(params: Params, X: Array) -> int:
    """Return the number of layers, having compared the shapes of `params` and `X`."""
    check_examples("X", X)
    depth = len(params) // 2
    n_in, source = X.shape[0], "X"
    for layer in range(1, depth + 1):
        W, b = params.get(f"W{layer}"), params.get(f"b{layer}")
        if W is None or b is None:
            break
        if W.ndim != 2 or W.shape[1] != n_in:
            raise _misfit(layer, W, n_in, source, X)
        n_in, source = W.shape[0], f"W{layer}"
        if b.shape != (n_in, 1):
            raise ValueError(
                f"b{layer} has shape {b.shape}, but W{layer} has {n_in} rows: "
                f"b{layer} must be of shape ({n_in}, 1)"
            )
    else:
        if depth and len(params) == 2 * depth:
            return depth
    raise ValueError(
        f"params holds {sorted(params)}: it must hold W1, b1, W2, b2, ... without a gap, "
        "and nothing else"
    )


def _misfit(layer: int, W: Array, n_in: int, source: str, X: Array) -> ValueError:
    where = f"W{layer} has shape {W.shape}, but {source} gives it {n_in} inputs"
    if source == "X" and W.ndim == 2 and X.shape[1] == W.shape[1]:
        return ValueError(f"{where}: examples are columns here, and X of shape {X.shape} needs X.T")
    return ValueError(f"{where}: W{layer} must be of shape (units, {n_in})")


def check_targets(Y: Array, Z: Array) -> int:
    """Return the number of examples, having compared the targets with the network's outputs."""
    if not isinstance(Y, np.ndarray) or Y.shape != Z.shape:
        found = f"has shape {Y.shape}" if isinstance(Y, np.ndarray) else f"is {type(Y).__name__}"
        raise ValueError(
            f"Y {found}, but the output layer gives shape {Z.shape}: Y needs a row for each output "
            "and a column for each example (one_hot makes it of labels)"
        )
    m: int = Z.shape[1]
    return m


def check_pair(X: Array, Y: Array) -> int:
    """Return the number of examples, of which X and Y must have the same number."""
    check_examples("X", X)
    check_examples("Y", Y)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"X of shape {X.shape} has {X.shape[1]} examples and Y of shape {Y.shape} has "
            f"{Y.shape[1]}: both need one column for each example"
        )
    m: int = X.shape[1]
    return m


def check_penalty(lambd: float, l1: float) -> None:
    """Raise ValueError unless both strengths are finite and not negative."""
    for name, value in (("lambd", lambd), ("l1", l1)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} is {value}: the strength of a penalty must be 0 or more")


def check_fractions(**values: float) -> None:
    """Raise ValueError unless every value lies between 0 and 1, both included."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}: it must lie between 0 and 1 (5 % is 0.05)")


def check_positive(**values: float) -> None:
    """Raise ValueError unless every value is positive and finite."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}: it must be positive and finite")


def check_decays(**values: float) -> None:
    """Raise ValueError unless every value can be the rate of a moving average."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(
                f"{name} is {value}: a moving average needs a rate of at least 0, below 1"
            )
