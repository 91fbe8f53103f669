"""Dropout off by every road, and dropout frozen, so that its own backward pass is checked."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import ProblemError, check_gradients, gradcheck
from pytest_gradcheck.problem.preflight import alike_within
from pytest_gradcheck.problem.randomness import _like

Array = npt.NDArray[np.float64]

W = np.arange(1.0, 9.0)


class Rates(NamedTuple):
    first: float
    second: float


OFF: dict[str, tuple[str, Any, Any]] = {
    "keep_prob": ("keep_prob", 0.8, 1.0),
    "keep_prob as a NumPy number": ("keep_prob", np.float64(0.8), 1.0),
    "keep_probs": ("keep_probs", [1.0, 0.5, 0.8], [1.0, 1.0, 1.0]),
    "keep_probs as a tuple": ("keep_probs", (0.5, 0.8), (1.0, 1.0)),
    "keep_probs as a named tuple": ("keep_probs", Rates(0.5, 0.8), Rates(1.0, 1.0)),
    "keep_probs by layer": ("keep_probs", {"h1": 0.5, "h2": 0.8}, {"h1": 1.0, "h2": 1.0}),
    "keep_probs as an array": ("keep_probs", np.array([0.5, 0.8]), np.ones(2)),
    "dropout": ("dropout", 0.5, 0.0),
    "dropout as a switch": ("dropout", True, False),
    "dropout_rate": ("dropout_rate", 0.5, 0.0),
    "drop_prob": ("drop_prob", 0.5, 0.0),
    "p_drop": ("p_drop", 0.5, 0.0),
    "something that is no number": ("dropout", "inverted", "inverted"),
    "None": ("dropout", None, None),
}


@pytest.mark.parametrize(("name", "given", "off"), OFF.values(), ids=OFF.keys())
def test_data_that_switches_dropout_is_off_for_both_functions(
    name: str, given: Any, off: Any
) -> None:
    seen: list[Any] = []

    def cost(w: Array, **data: Any) -> float:
        seen.append(data[name])
        return float(w @ w)

    def grad(w: Array, **data: Any) -> Array:
        seen.append(data[name])
        return 2 * w

    report = gradcheck(cost, grad, W, data={name: given})
    assert all(type(value) is type(off) and np.all(value == off) for value in seen)
    assert len(report.notes) == int(not np.all(given == off))
    assert all(name in note for note in report.notes)


def test_the_report_says_what_was_switched_off() -> None:
    report = check_gradients(
        lambda w, keep_prob: float(w @ w), lambda w: 3 * w, W, data={"keep_prob": 0.8}
    )
    assert report.notes == ("switched off: keep_prob 0.8 -> 1.0",)
    assert "keep_prob 0.8 -> 1.0" in str(report)
    assert "switched off: keep_prob 0.8 -> 1.0" in report.to_dict()["notes"]


def test_disable_adds_the_users_own_switches() -> None:
    seen: set[Any] = set()

    def cost(w: Array, training: bool, keep_prob: float) -> float:
        seen.add((training, keep_prob))
        return float(w @ w)

    report = gradcheck(
        cost,
        lambda w: 2 * w,
        W,
        data={"training": True, "keep_prob": 0.5},
        disable={"training": False},
    )
    assert seen == {(False, 1.0)}
    assert any("training True -> False" in note for note in report.notes)


def test_disable_wins_over_the_usual_off_value() -> None:
    seen: set[float] = set()

    def cost(w: Array, keep_prob: float) -> float:
        seen.add(keep_prob)
        return float(w @ w)

    gradcheck(cost, lambda w: 2 * w, W, data={"keep_prob": 0.5}, disable={"keep_prob": 0.9})
    assert seen == {0.9}


@pytest.mark.parametrize("data", [None, {"training": True}])
def test_disable_names_an_entry_that_is_there(data: Any) -> None:
    with pytest.raises(ProblemError, match="disable names trainin, which data") as error:
        check_gradients(
            lambda w, training=0: 0.0, lambda w: w, W, data=data, disable={"trainin": 0}
        )
    assert error.value.code == "bad-setting"


# A model with a switch of its own


class Model:
    def __init__(self) -> None:
        self.training = True
        self.switched = 0

    def cost(self, w: Array) -> float:
        mask = np.random.default_rng().random(w.shape) if self.training else 1.0
        return float(np.sum(mask * w**2))

    @contextmanager
    def eval(self) -> Iterator[None]:
        self.training, self.switched = False, self.switched + 1
        try:
            yield
        finally:
            self.training = True


class Switch:
    """A context manager that is no generator."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._model.training = False

    def __exit__(self, *args: object) -> None:
        self._model.training = True


MANAGERS: dict[str, Callable[[Model], Any]] = {
    "a context manager": lambda model: model.eval(),
    "a method that makes one": lambda model: model.eval,
    "a function that makes one": lambda model: lambda: Switch(model),
    "an object": Switch,
    "a class": lambda model: functools.partial(Switch, model),
}


@pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS.keys())
def test_a_context_manager_switches_dropout_off(manager: Callable[[Model], Any]) -> None:
    model = Model()
    report = gradcheck(model.cost, lambda w: 2 * w, W, dropout=manager(model), train=2)
    assert len(report.points) == 2
    assert model.training
    assert any("dropout, by" in note for note in report.notes)


@pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS.keys())
def test_a_context_manager_is_left_after_an_error(manager: Callable[[Model], Any]) -> None:
    model = Model()
    with pytest.raises(ProblemError):
        check_gradients(model.cost, lambda w: 1 / 0, W, dropout=manager(model))
    assert model.training


def test_without_it_the_cost_is_nondeterministic() -> None:
    with pytest.raises(ProblemError, match="dropout") as error:
        check_gradients(Model().cost, lambda w: 2 * w, W)
    assert error.value.code == "nondeterministic-cost"


@pytest.mark.parametrize("bad", ["frozen", True, False, 0.5, lambda: 3])
def test_dropout_takes_nothing_else(bad: Any) -> None:
    with pytest.raises(ProblemError, match="dropout is 'off', 'freeze', a context manager") as e:
        check_gradients(lambda w: float(w @ w), lambda w: 2 * w, W, dropout=bad)
    assert e.value.code == "bad-setting"


def test_off_by_name_is_the_default() -> None:
    report = gradcheck(
        lambda w, p_drop: (1 - p_drop) * float(w @ w),
        lambda w: 2 * w,
        W,
        data={"p_drop": 0.3},
        dropout="off",
    )
    assert report.notes == ("switched off: p_drop 0.3 -> 0.0",)


# Frozen

KEEP = 0.6

SOURCES: dict[str, Callable[[Any], Array]] = {
    "NumPy's global generator": lambda rng: np.random.random_sample(W.shape),
    "random": lambda rng: np.array([random.random() for _ in W]),
    "a Generator in data": lambda rng: np.asarray(rng.random(W.shape)),
    "a RandomState in data": lambda rng: np.asarray(rng.random_sample(W.shape)),
    "a Random in data": lambda rng: np.array([rng.random() for _ in W]),
    "a Generator deep in data": lambda rng: np.asarray(rng["net"][0].gen.random(W.shape)),
}


def generator_for(source: str) -> Any:
    made: dict[str, Callable[[], Any]] = {
        "a RandomState in data": lambda: np.random.RandomState(3),
        "a Random in data": lambda: random.Random(3),
        "a Generator deep in data": lambda: {
            "net": [SimpleNamespace(gen=np.random.default_rng(3))]
        },
    }
    return made.get(source, lambda: np.random.default_rng(3))()


def dropped(draw: Callable[[Any], Array], right: bool) -> tuple[Any, Any]:
    """Return a cost with inverted dropout and a gradient that minds the mask, or its scale not."""

    def cost(w: Array, rng: Any, keep_prob: float) -> tuple[float, Array]:
        mask = (draw(rng) < keep_prob) / keep_prob
        return float(np.sum((w * mask) ** 2)), mask

    def grad(w: Array, cache: Array, keep_prob: float) -> Array:
        return 2 * w * cache**2 * (1.0 if right else keep_prob)

    return cost, grad


@pytest.mark.parametrize("source", SOURCES)
def test_frozen_dropout_passes_a_right_backward_pass(source: str) -> None:
    data = {"rng": generator_for(source), "keep_prob": KEEP}
    report = gradcheck(*dropped(SOURCES[source], True), W, data=data, dropout="freeze")
    assert report.verdict == "ok"
    assert report.notes == ()


@pytest.mark.parametrize("source", SOURCES)
def test_frozen_dropout_catches_a_wrong_backward_pass_that_off_does_not(source: str) -> None:
    def check(dropout: str) -> bool:
        data = {"rng": generator_for(source), "keep_prob": KEEP}
        return check_gradients(
            *dropped(SOURCES[source], False), W, data=data, dropout=dropout
        ).passed

    assert not check("freeze")
    assert check("off")


def state_of(rng: Any) -> str:
    if isinstance(rng, dict):
        return state_of(rng["net"][0].gen)
    if isinstance(rng, np.random.Generator):
        return str(rng.bit_generator.state)
    return str(rng.getstate() if isinstance(rng, random.Random) else rng.get_state())


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_frozen_dropout_puts_every_generator_back(source: str, right: bool) -> None:
    rng = generator_for(source)
    before = (state_of(rng), str(np.random.get_state()), random.getstate())
    check_gradients(
        *dropped(SOURCES[source], right), W, data={"rng": rng, "keep_prob": KEEP}, dropout="freeze"
    )
    assert (state_of(rng), str(np.random.get_state()), random.getstate()) == before


def test_frozen_dropout_puts_generators_back_after_an_error() -> None:
    rng = np.random.default_rng(3)
    before = state_of(rng)

    def cost(w: Array, rng: np.random.Generator) -> float:
        rng.random(7)
        raise KeyError

    with pytest.raises(ProblemError):
        check_gradients(cost, lambda w: w, W, data={"rng": rng}, dropout="freeze")
    assert state_of(rng) == before


def test_frozen_dropout_freezes_positional_generators() -> None:
    def cost(w: Array, rng: np.random.Generator) -> float:
        return float(np.sum(w**2 * rng.random(w.shape)))

    assert check_gradients(
        cost,
        lambda w, rng: 2 * w * rng.random(w.shape),
        W,
        np.random.default_rng(1),
        dropout="freeze",
    ).passed


@pytest.mark.parametrize("shape", [(6,), (4, 3), (2, 3, 2)])
def test_frozen_dropout_freezes_a_generator_among_a_layers_inputs(shape: tuple[int, ...]) -> None:
    W = np.random.default_rng(4).normal(size=shape)

    def forward(x: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        mask = (rng.random(x.shape) < 0.5) / 1.0
        return x * mask, mask

    report = check_gradients.layer(
        forward, lambda d, mask: (d * mask, None), W, np.random.default_rng(1), dropout="freeze"
    )
    assert report.passed


def test_an_unseeded_generator_cannot_be_frozen() -> None:
    with pytest.raises(ProblemError) as error:
        check_gradients(
            lambda w: float(np.sum(w * np.random.default_rng().random(w.shape))),
            lambda w: w,
            W,
            dropout="freeze",
        )
    assert error.value.code == "nondeterministic-cost"


class Fractions(NamedTuple):
    keep: float
    names: list[str]


def test_an_off_value_has_the_shape_of_what_it_replaces() -> None:
    assert _like(Fractions(0.5, ["a"]), 0.0) == Fractions(0.0, ["a"])
    assert _like((0.5, [1, "b"]), 0.0) == (0.0, [0.0, "b"])
    assert _like({"p": True}, 1.0) == {"p": True}


def test_two_costs_may_differ_by_four_units_of_float32_or_by_the_noise_of_the_settings() -> None:
    unit = float(np.finfo(np.float32).eps)
    assert alike_within(np.array([0.1]), None) == 4 * unit
    assert alike_within(np.array([0.1]), 0.25) == 0.25
    assert alike_within(np.array([0.5]), None) == 1e-5
