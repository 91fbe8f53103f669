"""Difference the cost with respect to forward values, which are perturbed in their frames."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.line.recording.source import Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import Activation, Tracer
from pytest_gradcheck.diagnosis.line.recording.values import MISSING, Handle, Scope, Value
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY

__all__ = ["Cost", "Slope", "Slopes", "put"]

BEND = 1e-2
"""Relative difference of one-sided slopes up to which the cost counts as smooth."""


@dataclass(frozen=True)
class Slope:
    """The slope of the cost along a direction of a value.

    Attributes
    ----------
    direction : array
    value, error_bar : float
        NaN and infinite where the cost has a kink, or no value, within the step.
    """

    direction: npt.NDArray[np.float64]
    value: float
    error_bar: float

    @property
    def tells(self) -> bool:
        """Whether the slope is large enough to compare with."""
        return math.isfinite(self.value) and abs(self.value) > 4 * self.error_bar


@dataclass(frozen=True)
class Cost:
    """The cost at theta as it stands.

    Attributes
    ----------
    call : callable
    here : float
        What it returns.
    level : float
        Its noise, absolute.
    """

    call: Callable[[], float]
    here: float
    level: float

    def is_at(self, value: float) -> bool:
        """Return whether a cost is the cost at theta, up to noise."""
        return abs(self.here - value) <= 10 * self.level + 1e-9 * abs(value)

    @property
    def step(self) -> float:
        """The step of a two-sided difference, relative to the value that is perturbed."""
        relative = self.level / abs(self.here) if self.here else 0.0
        return float(np.cbrt(max(relative, EPSILON)))


class Slopes:
    """Slopes of the cost with respect to forward values.

    Parameters
    ----------
    cost : Cost
    sources : Sources
    until : float
        The time, by `clock.now`, at which to stop.
    calls : int
        Calls that may be made; the attribute counts them down.
    """

    def __init__(self, cost: Cost, sources: Sources, until: float, calls: int) -> None:
        self._cost, self._sources, self._until = cost, sources, until
        self.calls = calls

    def ask(self, value: Value, number: int) -> Slope:
        """Return the slope along a random direction; the number selects the direction."""
        array = value.array
        assert array is not None
        rng = np.random.default_rng([number, array.size])
        length = float(np.sqrt(np.mean(array * array))) or 1.0
        direction = rng.standard_normal(array.shape) if array.ndim else np.ones(())
        step = min(self._cost.step, 1e-2) * length
        slope = self._along(value, direction, step)
        if math.isfinite(slope.value):
            return slope
        # Small components of probabilities have small steps.
        scaled = direction * np.abs(array) / length
        slope = self._along(value, scaled, step)
        return slope if math.isfinite(slope.value) else self._along(value, scaled, step / 32)

    def _along(self, value: Value, direction: npt.NDArray[np.float64], step: float) -> Slope:
        up, down = (self._at(value, side * step * direction) for side in (1, -1))
        if not (math.isfinite(up) and math.isfinite(down)):
            return Slope(direction, math.nan, math.inf)
        level = max(self._cost.level, 0.5 * EPSILON * max(abs(up), abs(down)))
        bar, slope = SAFETY * level / step, (up - down) / (2 * step)
        bend = abs(up + down - 2 * self._cost.here) / step
        if bend > BEND * abs(slope) + 4 * bar:
            return Slope(direction, math.nan, math.inf)
        return Slope(direction, slope, bar)

    def _at(self, value: Value, change: npt.NDArray[np.float64]) -> float:
        """Return the cost with a perturbed value."""
        if self.calls <= 0 or value.handle is None:
            return math.nan
        self.calls -= 1
        patch = _Patch(self._sources, self._until, value, value.handle, change)
        cost = patch.run(self._cost.call)
        return cost if patch.is_applied and patch.failure is None else math.nan


class _Patch(Tracer):
    """Perturbs one value as soon as its statement has run."""

    def __init__(
        self,
        sources: Sources,
        until: float,
        value: Value,
        handle: Handle,
        change: npt.NDArray[np.float64],
    ) -> None:
        super().__init__(sources, until, frozenset([handle.code]))
        self._value, self._handle, self._change = value, handle, change
        self.is_applied = False

    def finished(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Perturb the value, if its statement has run."""
        handle = self._handle
        due = statement is handle.statement and activation.execution == handle.execution
        if not due or self.is_applied:
            return
        scope = Scope(frame)
        if self._value.inplace:
            target = handle.target
            array = scope.resolve(target.value if isinstance(target, ast.Subscript) else target)
            array[... if self._value.region is None else self._value.region] += self._change
        else:
            before = scope.resolve(handle.target)
            self._replace(scope, handle.target, before, handle.keys)
            others = [effect.target for effect in statement.effects if not handle.keys]
            for other in others:  # a = b = value
                if (
                    other is not None
                    and other is not handle.target
                    and scope.resolve(other) is before
                ):
                    self._replace(scope, other, before, ())
        self.is_applied = True

    def _replace(self, scope: Scope, target: ast.expr, before: Any, keys: tuple[Any, ...]) -> None:
        if before is MISSING:
            raise LookupError("the value is not where it was")
        key = scope.index(target.slice) if isinstance(target, ast.Subscript) else None
        put(scope, target, key, self._changed(before, keys))

    def _changed(self, value: Any, keys: tuple[Any, ...]) -> Any:
        """Return the perturbed value, or the container with the perturbed value in it."""
        if not keys:
            if isinstance(value, np.ndarray):
                return (value + self._change).astype(value.dtype)
            return type(value)(value + float(self._change))
        key, rest = keys[0], keys[1:]
        if isinstance(value, tuple) and hasattr(value, "_replace"):
            return value._replace(**{key: self._changed(getattr(value, key), rest)})
        if isinstance(value, tuple):
            return tuple(self._changed(v, rest) if i == key else v for i, v in enumerate(value))
        if isinstance(value, (dict, list)):
            value[key] = self._changed(value[key], rest)
        else:
            object.__setattr__(value, key, self._changed(getattr(value, key), rest))
        return value


def put(scope: Scope, target: ast.expr, key: Any, value: Any) -> None:
    """Assign to a target, whose index has the value `key`, if it has one."""
    if isinstance(target, ast.Name):
        scope.names[target.id] = value
    elif isinstance(target, ast.Attribute):
        setattr(scope.resolve(target.value), target.attr, value)
    elif isinstance(target, ast.Subscript):
        scope.resolve(target.value)[key] = value
