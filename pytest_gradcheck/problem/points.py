"""The points of a check: given, random initializations, after some training."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_gradcheck.context import Extensions
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.objects import is_initializer
from pytest_gradcheck.params.objects.slots import holds_objects, put_back
from pytest_gradcheck.params.rounding import TYPES
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.params.tree import Flattener, room_for_recursion
from pytest_gradcheck.problem.binding import accepts
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.projected import ProjectedCost
from pytest_gradcheck.problem.layers import name_of
from pytest_gradcheck.problem.networks import network
from pytest_gradcheck.problem.pair import Pair, frozen_calls
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.problem.randomness import (
    around_check,
    by_manager,
    disabled,
    models_stilled,
    outside,
    without_penalty,
)
from pytest_gradcheck.settings import Settings

__all__ = ["Point", "Points", "Start", "descend", "prepared", "starts"]

LEVEL = 1e-9
"""The largest relative rise of the cost in a descent that is rounding at a minimum."""


@dataclass(frozen=True)
class Point:
    """A theta at which a pair is checked.

    Attributes
    ----------
    name : str
        ``given``, ``random initialization 2``, ``given, after 50 steps``, ``given, penalty off``.
    pair : Pair
        The cost and its gradient, with theta at this point.
    unpenalized : Pair or None
        The same with the penalty switched off, if the data hold one.
    penalized : Point or None
        The point with the penalty, if this is its twin without.
    notes : tuple of str
        Notes for the report.
    """

    name: str
    pair: Pair
    unpenalized: Pair | None = None
    penalized: Point | None = None
    notes: tuple[str, ...] = ()

    @property
    def twin(self) -> Point | None:
        """A point with the same theta and the penalty off; None without a penalty."""
        if self.unpenalized is None:
            return None
        return Point(f"{self.name}, penalty off", self.unpenalized, penalized=self)


class Points:
    """The points of a problem in turn, each with theta moved there.

    Parameters
    ----------
    problem : Problem
    data : mapping or None
        The problem's data with dropout switched off.
    settings : Settings
    seed : int
        Seed of random initializations.
    extensions : Extensions
        They flatten containers of unknown types.
    notes : tuple of str
        Notes on what was switched off.

    Attributes
    ----------
    notes : tuple of str
        As above.
    """

    def __init__(
        self,
        problem: Problem,
        data: Mapping[str, Any] | None,
        settings: Settings,
        seed: int,
        extensions: Extensions,
        notes: tuple[str, ...],
    ) -> None:
        self.notes = notes
        self._problem, self._data = problem, data
        self._settings, self._seed = settings, seed
        self._foreign = extensions.flatten
        self._around = frozen_calls(problem, data) if settings.dropout == "freeze" else None
        self._pairs: list[Pair | JacobianPair] = []
        self._walk = self._walked()
        self._matrices = self._walked_matrices()

    def __iter__(self) -> Iterator[Point]:
        return self._walk

    def matrices(self) -> Iterator[tuple[str, JacobianPair]]:
        """Return the points of a problem whose derivative is a matrix, by their names."""
        return self._matrices

    def close(self) -> None:
        """Put the user's arrays back, at any stage of the walk."""
        self._walk.close()
        self._matrices.close()

    @property
    def evaluations(self) -> int:
        """Calls of the cost so far, at all points."""
        return sum(pair.evaluations for pair in self._pairs)

    def _walked(self) -> Generator[Point, None, None]:
        """Yield the points, each followed by its twin if it has a penalty."""
        settings = self._settings
        without = without_penalty(self._data)
        for start in starts(self._problem.params, settings, self._seed, self._foreign):
            theta = self._theta(start)
            with theta.guarded():
                for steps in (0, settings.train) if settings.train else (0,):
                    point = self._point(start.name, steps, theta, without)
                    yield point
                    if (twin := point.twin) is not None:
                        yield twin

    def _walked_matrices(self) -> Generator[tuple[str, JacobianPair], None, None]:
        for start in starts(self._problem.params, self._settings, self._seed, self._foreign):
            theta = self._theta(start)
            with theta.guarded():
                make = ProjectedCost if self._problem.form == "gradient" else JacobianPair
                pair = make(self._problem, theta, self._data, self._settings, self._around)
                self._pairs.append(pair)
                yield start.name, pair

    def _theta(self, start: Start) -> Theta:
        settings, params = self._settings, start.params
        if settings.inplace and holds_objects(params, self._foreign):
            _refuse_objects(self._problem, params)
            made = network(self._problem, params, self._data, self._foreign)
            params, self.notes = made.slots, (*self.notes, *made.notes)
        theta = Theta(params, settings.inplace, settings.only, settings.exclude, self._foreign)
        self.notes += coarse_note(theta)
        return theta

    def _point(
        self, name: str, steps: int, theta: Theta, without: Mapping[str, Any] | None
    ) -> Point:
        """Return the point after that many steps of descent."""
        pair = self._pair(theta, self._data)
        upward = descend(pair, self._settings, name) if steps else None
        return Point(
            f"{name}, after {steps} steps" if steps else name,
            pair,
            None if without is None else self._pair(theta, without),
            notes=(upward,) if upward else (),
        )

    def _pair(self, theta: Theta, data: Mapping[str, Any] | None) -> Pair:
        pair = Pair(self._problem, theta, data, self._settings, self._around)
        self._pairs.append(pair)
        return pair


def _refuse_objects(problem: Problem, params: Any) -> None:
    """Refuse an object with unknown parameters for a matrix: no gradients would tell them."""
    if problem.form != "gradient":
        raise ProblemError(
            "unknown-params",
            f"a {problem.form} in place takes arrays, and not a {type(params).__name__} that owns "
            "them: hand them over by their names, {'W': net.W, 'b': net.b}",
        )


def coarse_note(theta: Theta) -> tuple[str, ...]:
    """Return a note on the parameters that the functions get in less than float64."""
    names: dict[str, list[str]] = {}
    for parameter in theta.selected:
        if parameter.digits < 53:
            kind = TYPES.get(parameter.digits, f"floats of {parameter.digits} binary digits")
            names.setdefault(kind, []).append(parameter.name)
    return tuple(
        f"checked in {kind}: {', '.join(some[:8])}{', …' if len(some) > 8 else ''}"
        for kind, some in names.items()
    )


@contextmanager
def prepared(
    problem: Problem, settings: Settings, seed: int, extensions: Extensions
) -> Iterator[Points]:
    """Switch off randomness and enter the points of a problem; restore both at the end."""
    frozen = settings.dropout == "freeze"
    data, switched_off = disabled(problem.data, settings.disable, frozen)
    said = [*switched_off, *by_manager(settings.dropout)]
    with ExitStack() as stack:
        stack.enter_context(room_for_recursion(problem.params))
        if settings.dropout is not None:
            stack.enter_context(outside(around_check(settings.dropout)))
        if "around" in problem.details:
            stack.enter_context(problem.details["around"]())
        if settings.inplace and holds_objects(problem.params, extensions.flatten):
            stack.enter_context(put_back(problem.params))
        if not frozen:
            names = models_stilled(problem, data, extensions, stack)
            said += [f"the randomness of {name}" for name in names]
        notes = tuple(f"switched off: {what}" for what in said)
        notes += tuple(problem.details.get("notes", ()))
        points = Points(problem, data, settings, seed, extensions, notes)
        yield stack.enter_context(closing(points))


@dataclass(frozen=True)
class Start:
    """Initial parameters, and the name of their point."""

    name: str
    params: Any


def starts(
    params: Any, settings: Settings, seed: int, foreign: Flattener | None = None
) -> Iterator[Start]:
    """Yield the given parameters, or a fresh random initialization for every seed.

    Raises
    ------
    ProblemError
        ``bad-setting`` where more than one seed is asked for and params cannot be drawn,
        ``unbound-argument`` where a callable needs more than a generator.
    """
    if not is_initializer(params, foreign):
        if settings.seeds > 1:
            raise ProblemError(
                "bad-setting",
                f"seeds={settings.seeds} draws random initializations, so params must be a "
                "callable params(rng) that returns one",
            )
        yield Start("given", params)
        return
    takes_generator = accepts(params, 1)
    if not takes_generator and not accepts(params, 0):
        raise ProblemError(
            "unbound-argument",
            f"{name_of(params)} is called as params(rng), and has other arguments that nothing "
            "fills: give them defaults, or bind them with functools.partial",
        )
    for number in range(settings.seeds):
        rng = stream(f"initialization {number}", seed)
        drawn = params(*([rng] if takes_generator else []))
        yield Start(f"random initialization {number + 1}", drawn)


def descend(pair: Pair, settings: Settings, point: str) -> str | None:
    """Move theta by some steps of gradient descent with the user's own gradient.

    Returns
    -------
    str or None
        A note on a descent that led upward.

    Raises
    ------
    ProblemError
        ``nonfinite-cost`` where the descent diverges.
    """
    descent = f"gradient descent from the point {point!r}"
    remedy = f"lower learning_rate={settings.learning_rate:g}"
    before = pair.cost()
    with np.errstate(all="ignore"):  # our descent may diverge
        for step in range(1, settings.train + 1):
            if not _stepped(pair, settings.learning_rate):
                raise ProblemError(
                    "nonfinite-cost",
                    f"{descent} ran away at step {step} of {settings.train}: {remedy}",
                )
        after = pair.cost()
    if not math.isfinite(after):
        raise ProblemError(
            "nonfinite-cost",
            f"{descent} ran away: the cost is {after} after {settings.train} steps: {remedy}",
        )
    if after <= before + LEVEL * abs(before):
        return None
    return (
        f"{descent} led upward, from a cost of {before:.3g} to {after:.3g} in {settings.train} "
        f"steps: {remedy}"
    )


def _stepped(pair: Pair, learning_rate: float) -> bool:
    """Take one step, unless theta would not stay finite."""
    theta = pair.theta
    gradient = pair.gradient_after_cost() if theta.inplace else pair.gradient()
    moved = theta.base.copy()
    for parameter in theta.selected:
        moved[parameter.slice] -= learning_rate * gradient[parameter.slice]
    if not np.all(np.isfinite(moved)):
        return False
    theta.move_base(moved)
    return True
