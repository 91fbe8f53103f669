"""The reverse mode of random problems: right without a fault, and wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from random_problems.conditions import CONDITIONS
from random_problems.faults import KINDS, amount, candidates
from random_problems.problems import problem
from random_problems.programs import OPERATIONS, Array, Builder, Core, Drawn, core_of
from random_problems.programs.drawing import KINKED, SMOOTH

RECIPES = {**SMOOTH, **KINKED}
EIGHT_POINTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}


def drawn(recipe: str, seed: int) -> Drawn:
    """Return a program of one recipe whose parameters are all that can be parameters."""
    rng = np.random.default_rng([1, seed])
    for _ in range(20):
        builder = Builder(rng, CONDITIONS["plain"].leaf, 6)
        if RECIPES[recipe](builder) is not None:
            found = builder.finished(scalar=False)
            used = {slot for step in found.program.steps for slot in step.inputs}
            everything = tuple(n for n in range(len(found.leaves)) if n in used)
            return replace(found, parameters=everything)
    raise AssertionError(f"nothing was drawn by {recipe}")


def values_of(one: Drawn) -> list[Array]:
    return [one.leaves[number] for number in one.parameters]


def upstream_of(core: Core, values: list[Array], seed: int) -> Array:
    return np.random.default_rng([2, seed]).normal(size=core.output(values).shape)


def slope(cost: Callable[[float], float]) -> float:
    """Return the derivative at 0, of the eighth order."""
    h = 2e-3
    return sum(w * (cost(k * h) - cost(-k * h)) for k, w in EIGHT_POINTS.items()) / h


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_operation_has_the_right_pullback(recipe: str) -> None:
    for seed in range(6):
        one = drawn(recipe, seed)
        core, values = core_of(one, None), values_of(one)
        upstream = upstream_of(core, values, seed)
        rng = np.random.default_rng([3, seed])
        directions = [rng.normal(size=value.shape) for value in values]

        def cost(
            step: float,
            core: Core = core,
            values: list[Array] = values,
            directions: list[Array] = directions,
            upstream: Array = upstream,
        ) -> float:
            moved = [v + step * d for v, d in zip(values, directions, strict=True)]
            return float((upstream * core.output(moved)).sum())

        gradient = core.exact(values, upstream)
        expected = sum(float((g * d).sum()) for g, d in zip(gradient, directions, strict=True))
        if abs(slope(cost) - expected) <= 1e-7 * (1 + abs(expected)):
            return  # near a kink, other points tell
    raise AssertionError(f"{recipe}: {slope(cost)}, not {expected}")


def test_recipes_use_all_operations() -> None:
    used = {step.name for recipe in RECIPES for step in drawn(recipe, 0).program.steps}

    assert set(OPERATIONS) - used == {"guarded_log", "unscaled"}


def test_every_fault_that_an_operation_knows_changes_its_gradient_somewhere() -> None:
    seen = {found for recipe in RECIPES for seed in range(8) for found in seen_in(recipe, seed)}

    known = {(one.name, fault) for one in OPERATIONS.values() for fault in one.faults}
    assert known - seen == {("guarded_log", "term")}


def seen_in(recipe: str, seed: int) -> Iterator[tuple[str, str]]:
    """Yield operations and faults of their own that change a gradient."""
    one = drawn(recipe, seed)
    values = values_of(one)
    upstream = upstream_of(core_of(one, None), values, seed)
    right = core_of(one, None).exact(values, upstream)
    for kind, fault in candidates(one):
        name = one.program.steps[fault.step].name
        if kind in OPERATIONS[name].faults:
            broken = core_of(one, fault).pull(values, upstream)
            if any(not np.allclose(a, b) for a, b in zip(broken, right, strict=True)):
                yield name, kind


def test_every_kind_of_fault_is_drawn_and_known() -> None:
    rng = np.random.default_rng(4)
    kinds = set()
    for seed in range(40):
        for kind, fault in candidates(problem(seed).drawn):
            kinds.add(kind)
            assert np.isfinite(amount(kind, fault.amount, rng))
    for operation in OPERATIONS.values():
        kinds |= set(operation.faults)

    assert kinds | {kind for kind in KINDS if kind.startswith("penalty")} == set(KINDS)
