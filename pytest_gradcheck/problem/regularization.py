"""Penalties that a gradient contains and its cost does not: L2 and L1."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.settings import nearest

__all__ = ["L1", "L2", "Penalty", "penalized"]


@dataclass(frozen=True)
class Penalty(ABC):
    """A penalty on the size of the parameters, lambd / (2 m) times a sum over them.

    Attributes
    ----------
    lambd : float
        Its weight.
    m : int
        Number of examples.
    only : tuple of str
        Names or glob patterns of the penalized parameters. Empty means all but biases, whose last
        name begins with ``bias`` or is ``b`` with or without a number.
    """

    lambd: float
    m: float = 1
    only: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _is_finite(self.lambd):
            raise ProblemError(
                "bad-setting",
                f"lambd is the weight of a penalty, a finite number of 0 or more, not "
                f"{self.lambd!r}",
            )
        if not (_is_finite(self.m) and self.m > 0):
            raise ProblemError("bad-setting", f"m is a number of examples, not {self.m!r}")
        named = isinstance(self.only, str) or (
            isinstance(self.only, Sequence) and all(isinstance(name, str) for name in self.only)
        )
        if not named:
            raise ProblemError(
                "bad-setting", f"only takes a name or a list of names, not {self.only!r}"
            )

    def penalized(self, parameter: Parameter) -> bool:
        """Return whether a parameter is penalized."""
        patterns = (self.only,) if isinstance(self.only, str) else tuple(self.only)
        if patterns:
            return any(parameter.name == p or fnmatchcase(parameter.name, p) for p in patterns)
        return not _is_bias(parameter.name)

    def value(self, theta: FloatArray, parameters: Sequence[Parameter]) -> float:
        """Return the penalty at theta."""
        total = sum(self._magnitude(theta[p.slice]) for p in parameters if self.penalized(p))
        return self.lambd / (2 * self.m) * total

    @abstractmethod
    def _magnitude(self, values: FloatArray) -> float:
        """Return the sum without its weight."""


class L2(Penalty):
    """The squared Frobenius norm: lambd / (2 m) times the sum of squares.

    Examples
    --------
    >>> from pytest_gradcheck import check_gradients
    >>> w = np.array([1.0, -2.0])
    >>> report = check_gradients(
    ...     lambda w: w.sum(), lambda w: 1 + 0.5 * w, w, regularization=L2(0.5, 1)
    ... )
    >>> report.passed
    True
    """

    def _magnitude(self, values: FloatArray) -> float:
        return float(np.dot(values, values))


class L1(Penalty):
    """The L1 norm: lambd / (2 m) times the sum of absolute values."""

    def _magnitude(self, values: FloatArray) -> float:
        return float(np.abs(values).sum())


def penalized(penalty: object, theta: Theta) -> None:
    """Refuse a penalty of a wrong type, or one that no parameter matches.

    Raises
    ------
    ProblemError
        ``bad-setting``.
    """
    if not isinstance(penalty, Penalty):
        raise ProblemError(
            "bad-setting", f"regularization is L2(lambd, m) or L1(lambd, m), not {penalty!r}"
        )
    patterns = (penalty.only,) if isinstance(penalty.only, str) else penalty.only
    names = [parameter.name for parameter in theta.parameters]
    for pattern in patterns:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            raise ProblemError(
                "bad-setting",
                f"only={pattern!r} of the regularization matches no parameter"
                f"{nearest(pattern, names)}; there are {', '.join(names)}",
            )


def _is_finite(size: Any) -> bool:
    """Return whether a size is a finite number of 0 or more, and not NaN."""
    try:
        return bool(0 <= size < math.inf)
    except (TypeError, ValueError):  # text; an array
        return False


def _is_bias(name: str) -> bool:
    last = name.rsplit(".", 1)[-1].split("[")[0].lower()
    return "bias" in last or last == "b" or bool(re.match(r"b(\d+$|_)", last))
