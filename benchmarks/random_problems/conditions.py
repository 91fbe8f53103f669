"""Conditions that problems are drawn under: sizes, kinks, precision, noise, domains."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .programs import ROUNDINGS, Array, Builder, Core, Drawn, Values, draw

__all__ = ["CONDITIONS", "SMOOTH_CONDITIONS", "Condition", "Penalty"]

Rng = np.random.Generator
Leaf = Callable[[Rng, tuple[int, ...], str], Array]
Dress = Callable[[Core, Rng, Values], Core]


def _plain(rng: Rng, shape: tuple[int, ...], role: str) -> Array:
    """Return ordinary numbers: N(0, 1), weights smaller by the root of their rows."""
    if role == "number":
        return np.asarray(rng.uniform(-0.8, 0.8, shape))
    scale = 1 / np.sqrt(shape[0]) if role == "weight" and shape else 1.0
    return np.asarray(scale * rng.normal(size=shape))


def _tiny(rng: Rng, shape: tuple[int, ...], role: str) -> Array:
    decades = rng.uniform(1, 8) if role != "input" else 0.0
    return np.asarray(_plain(rng, shape, role) * 10.0**-decades)


def _zeros(rng: Rng, shape: tuple[int, ...], role: str) -> Array:
    value = _plain(rng, shape, role)
    return np.zeros_like(value) if role == "bias" or rng.random() < 0.3 else value


def _ties(rng: Rng, shape: tuple[int, ...], role: str) -> Array:
    return np.asarray(rng.integers(-1, 2, size=shape), np.float64)


def _dead(rng: Rng, shape: tuple[int, ...], role: str) -> Array:
    return _plain(rng, shape, role) - (3.0 if role == "bias" else 0.0)


def _saturated(rng: Rng, shape: tuple[int, ...], role: str) -> Array:
    return _plain(rng, shape, role) * (1.0 if role == "number" else rng.uniform(5, 20))


def _as_it_is(core: Core, rng: Rng, values: Values) -> Core:
    return core


def _scaled(core: Core, factor: float, offset: float = 0.0) -> Core:
    """Return a cost times a factor, plus an offset."""
    return Core(
        lambda values: core.output(values) * factor + offset,
        lambda values, upstream: core.pull(values, upstream * factor),
        lambda values, upstream: core.exact(values, upstream * factor),
    )


def _offset(core: Core, rng: Rng, values: Values) -> Core:
    return _scaled(core, 1.0, float(rng.choice([-1, 1]) * 10.0 ** rng.uniform(2, 8)))


def _small(core: Core, rng: Rng, values: Values) -> Core:
    return _scaled(core, float(10.0 ** rng.uniform(-12, -4)))


def _large(core: Core, rng: Rng, values: Values) -> Core:
    return _scaled(core, float(10.0 ** rng.uniform(4, 12)))


def _after(core: Core, change: Callable[[Array, Values], Array]) -> Core:
    """Return a core whose output, not whose truth, is changed."""
    return replace(core, output=lambda values: change(core.output(values), values))


def _rounded(core: Core, rng: Rng, values: Values) -> Core:
    decimals = int(rng.integers(3, 10))
    return _after(core, lambda out, values: np.round(out, decimals))


def _single_result(core: Core, rng: Rng, values: Values) -> Core:
    return _after(core, lambda out, values: out.astype(np.float32).astype(np.float64))


def _noisy(core: Core, rng: Rng, values: Values) -> Core:
    """Return a cost with noise that is always the same at the same theta."""
    size = float(10.0 ** rng.uniform(-13, -6))

    def shaken(out: Array, values: Values) -> Array:
        number = zlib.crc32(b"".join(value.tobytes() for value in values))
        return out * (1 + size * (number / 2**31 - 1))

    return _after(core, shaken)


def _jump(core: Core, rng: Rng, values: Values) -> Core:
    """Return a cost that jumps where one component is what it is here, and more."""
    number = int(rng.integers(len(values)))
    place, height = int(rng.integers(values[number].size)), float(rng.uniform(0.5, 2))
    edge = values[number].flat[place]
    return _after(core, lambda out, moved: out + height * (moved[number].flat[place] >= edge))


def _stationary(core: Core, rng: Rng, values: Values) -> Core:
    """Return a cost less its tangent plane here, so that its gradient here is zero."""
    one = np.ones(())
    plane = core.exact(values, one)

    def tilt(found: list[Array], upstream: Array) -> list[Array]:
        return [g - upstream * p for g, p in zip(found, plane, strict=True)]

    return Core(
        lambda values: (
            core.output(values)
            - sum(float((p * v).sum()) for p, v in zip(plane, values, strict=True))
        ),
        lambda values, upstream: tilt(core.pull(values, upstream), upstream),
        lambda values, upstream: tilt(core.exact(values, upstream), upstream),
    )


@dataclass(frozen=True)
class Penalty:
    """lambd / (2 m) times the sum of squares of some parameters.

    Attributes
    ----------
    lambd : float
    m : int
    on : tuple of bool
        Which parameters are penalized.
    fault : str
        One of `faults.PENALTY_KINDS`, or none.
    """

    lambd: float
    m: int
    on: tuple[bool, ...]
    fault: str = ""

    def value(self, values: Values, lambd: float) -> float:
        """Return the penalty."""
        squares = [float((v * v).sum()) for v, on in zip(values, self.on, strict=True) if on]
        return lambd / (2 * self.m) * sum(squares)

    def slopes(self, values: Values, lambd: float, fault: str = "") -> list[Array]:
        """Return the penalty's gradient, with a fault or none."""
        shares = {
            "penalty missing": 0.0,
            "penalty doubled": 2.0,
            "penalty halved": 0.5,
            "penalty subtracted": -1.0,
        }
        share = shares.get(fault, 1.0) * lambd / self.m
        everywhere = fault == "penalty everywhere"
        return [
            share * v * (1.0 if on or everywhere else 0.0)
            for v, on in zip(values, self.on, strict=True)
        ]


Compose = Callable[[Builder], None]


def _composed(kinks: float) -> Compose:
    return lambda b: draw(b, int(b.rng.integers(1, 7)), kinks)


def _mixed(b: Builder) -> None:
    """Begin with a parameter whose components spread over up to 18 decades."""
    shape = tuple(int(n) for n in b.rng.integers(2, 6, size=int(b.rng.integers(1, 3))))
    widest = b.rng.uniform(1, 9)
    b.scaled_parameter(b.rng.normal(size=shape), 10.0 ** b.rng.uniform(-widest, widest, shape))
    draw(b, int(b.rng.integers(1, 5)), 0.1)


def _wide(widest: float) -> Compose:
    """Return how to begin with a parameter of some hundred components, over so many decades."""

    def compose(b: Builder) -> None:
        shape = (int(b.rng.integers(10, 31)), int(b.rng.integers(10, 21)))
        decades = b.rng.uniform(0, widest) if widest else 0.0
        slot = b.scaled_parameter(
            b.rng.normal(size=shape), 10.0 ** b.rng.uniform(-decades, decades, shape)
        )
        name = str(b.rng.choice(["sine", "tanh", "square", "softplus", "gelu"]))
        if slot is not None:
            slot = b.apply(name, slot)
        if slot is not None:
            b.apply("matmul", slot, b.leaf((shape[1], 2), "weight"))
        draw(b, int(b.rng.integers(0, 4)), 0.1)

    return compose


def _shifted_scale(b: Builder) -> None:
    """Begin with a parameter that is large or small as a whole."""
    shape = tuple(int(n) for n in b.rng.integers(2, 6, size=int(b.rng.integers(1, 3))))
    scale = np.full(shape, 10.0 ** (b.rng.choice([-1, 1]) * b.rng.uniform(2, 9)))
    b.scaled_parameter(b.rng.normal(size=shape), scale)
    draw(b, int(b.rng.integers(1, 5)), 0.1)


REFUSALS: tuple[Exception | float, ...] = (
    ValueError("rate must be positive"),
    AssertionError(),
    RuntimeError("solver failed"),
    ZeroDivisionError("nothing left"),
    ArithmeticError("bad state"),
    np.nan,
    np.inf,
    1e10,
)
"""What code does outside of its domain."""


def _guarded(b: Builder) -> None:
    """Begin with positive numbers, one of them close to a border that the code guards."""
    answer = REFUSALS[int(b.rng.integers(len(REFUSALS)))]

    def refuse() -> Array:
        if isinstance(answer, Exception):
            raise answer
        return np.full(size, answer)

    size = int(b.rng.integers(2, 6))
    value = b.rng.uniform(0.5, 2, size)
    value[int(b.rng.integers(size))] = 10.0 ** b.rng.uniform(-7, -1)
    b.apply("guarded_log", b.parameter(value), refuse=refuse)
    draw(b, int(b.rng.integers(0, 3)), 0.0)


def _iterated(b: Builder) -> None:
    """Have an iteration inside that stops at a tolerance."""
    draw(b, int(b.rng.integers(0, 3)), 0.0)
    number = b.leaf((), "number")
    b.apply("fixed_point", b.pick(), number, tolerance=float(10.0 ** b.rng.uniform(-12, -5)))
    draw(b, int(b.rng.integers(0, 3)), 0.0)


def _one_single(drawn: Drawn, rng: Rng) -> Drawn:
    """Let one operation compute in float32."""
    return _rounding(drawn, {int(rng.integers(len(drawn.program.steps)))}, "float32")


def _all_single(drawn: Drawn, rng: Rng) -> Drawn:
    return _rounding(drawn, set(range(len(drawn.program.steps))), "float32")


def _one_coarse(drawn: Drawn, rng: Rng) -> Drawn:
    """Let one operation round coarsely, not the last one: what follows looks smooth.

    One of constants only would be another cost, as smooth as without.
    """
    last = len(drawn.program.steps) - 1
    moves, number = drawn.moved_steps, int(rng.integers(max(1, last)))
    return _rounding(drawn, {next((k for k in moves if k >= number), last)}, _coarse(rng))


def _all_coarse(drawn: Drawn, rng: Rng) -> Drawn:
    return _rounding(drawn, set(range(len(drawn.program.steps))), _coarse(rng))


def _coarse(rng: Rng) -> str:
    return str(rng.choice([name for name in ROUNDINGS if name not in ("", "float32")]))


def _rounding(drawn: Drawn, chosen: set[int], rounding: str) -> Drawn:
    steps = tuple(
        replace(step, rounding=rounding if number in chosen else "")
        for number, step in enumerate(drawn.program.steps)
    )
    return replace(drawn, program=replace(drawn.program, steps=steps))


def _unused(drawn: Drawn, rng: Rng) -> Drawn:
    """Add a parameter that the cost does not use: its slot is one more leaf."""
    program, leaves = drawn.program, [*drawn.leaves, rng.normal(size=3)]
    steps = tuple(
        replace(step, inputs=tuple(n + (n >= program.leaves) for n in step.inputs))
        for step in program.steps
    )
    program = replace(program, leaves=len(leaves), steps=steps)
    return Drawn(program, leaves, (*drawn.parameters, len(leaves) - 1))


def _same(drawn: Drawn, rng: Rng) -> Drawn:
    return drawn


@dataclass(frozen=True)
class Condition:
    """How a problem is drawn, and what becomes of its cost.

    Attributes
    ----------
    leaf : callable
        Draws values of leaves.
    compose : callable
        Adds operations to a builder.
    change : callable
        Changes the drawn program.
    dress : callable
        Changes the cost; only of problems that have one number as output.
    components : int
        So many at most.
    scalar : bool
        Whether the output has to be one number.
    penalized : bool
        Whether the cost has a penalty.
    curved : bool
        Whether the gradient has to change with theta.
    precision : type
        Of the arrays that params holds.
    """

    leaf: Leaf = _plain
    compose: Compose = _composed(0.15)
    change: Callable[[Drawn, Rng], Drawn] = _same
    dress: Dress = _as_it_is
    components: int = 60
    scalar: bool = False
    penalized: bool = False
    curved: bool = False
    precision: type[np.floating[Any]] = np.float64


CONDITIONS: Mapping[str, Condition] = {
    "plain": Condition(),
    "smooth": Condition(compose=_composed(0.0)),
    "mixed scales": Condition(compose=_mixed),
    "wide": Condition(compose=_wide(0.0), components=800),
    "wide mixed scales": Condition(compose=_wide(9.0), components=800),
    "one scale": Condition(compose=_shifted_scale),
    "tiny weights": Condition(leaf=_tiny),
    "zero weights": Condition(leaf=_zeros),
    "ties": Condition(leaf=_ties, compose=_composed(0.6)),
    "dead units": Condition(leaf=_dead, compose=_composed(0.5)),
    "saturated": Condition(leaf=_saturated),
    "offset": Condition(dress=_offset, scalar=True),
    "small cost": Condition(dress=_small, scalar=True),
    "large cost": Condition(dress=_large, scalar=True),
    "penalty": Condition(scalar=True, penalized=True),
    "one float32": Condition(change=_one_single, scalar=True),
    "float32": Condition(change=_all_single, scalar=True),
    "one coarse": Condition(change=_one_coarse, scalar=True),
    "coarse": Condition(change=_all_coarse, scalar=True),
    "float32 params": Condition(precision=np.float32, scalar=True),
    "float32 result": Condition(dress=_single_result, scalar=True),
    "rounded": Condition(dress=_rounded, scalar=True),
    "noisy": Condition(dress=_noisy, scalar=True),
    "inner iteration": Condition(compose=_iterated, scalar=True),
    "stationary": Condition(dress=_stationary, scalar=True, curved=True),
    "jump": Condition(dress=_jump, scalar=True),
    "unused": Condition(change=_unused),
    "guarded domain": Condition(compose=_guarded),
}
"""Every condition by name."""

SMOOTH_CONDITIONS = frozenset(CONDITIONS) - {
    *("ties", "zero weights", "one float32", "float32", "float32 result", "rounded", "noisy"),
    *("inner iteration", "jump", "float32 params", "one coarse", "coarse"),
}
"""Where the cost is in float64 and, but by chance, smooth at the point."""
