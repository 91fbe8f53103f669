"""What passes through a check: skips, exits, interrupts; and all that is put back before."""

from __future__ import annotations

import bdb
import multiprocessing
import os
import pickle
import unittest
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import L2, GradientError, ProblemError, check_gradients, gradcheck
from pytest_gradcheck.context import Context, Extensions, evaluating, use_context

Array = npt.NDArray[np.float64]


def interrupt() -> None:
    raise KeyboardInterrupt


def leave() -> None:
    raise SystemExit(3)


def skip_case() -> None:
    raise unittest.SkipTest("not here")


def assume_not() -> None:
    raise hypothesis.errors.UnsatisfiedAssumption


def quit_debugger() -> None:
    raise bdb.BdbQuit


WISHES: dict[str, tuple[Callable[[], Any], type[BaseException]]] = {
    "skip": (lambda: pytest.skip("not here"), pytest.skip.Exception),
    "fail": (lambda: pytest.fail("wrong data"), pytest.fail.Exception),
    "exit": (lambda: pytest.exit("enough"), pytest.exit.Exception),
    "xfail": (lambda: pytest.xfail("known"), pytest.xfail.Exception),
    "unittest's skip": (skip_case, unittest.SkipTest),
    "assume": (assume_not, hypothesis.errors.UnsatisfiedAssumption),
    "quit": (quit_debugger, bdb.BdbQuit),
    "interrupt": (interrupt, KeyboardInterrupt),
    "system exit": (leave, SystemExit),
}


class Net:
    """A network that owns its arrays, and does what it is told at a call of one of its methods."""

    def __init__(self, wish: Callable[[], Any], method: str, call: int) -> None:
        self.W, self.b = np.arange(6.0).reshape(2, 3) / 7, np.array([0.3, -0.2])
        self._wish, self._method, self._left = wish, method, call

    @property
    def params(self) -> dict[str, Array]:
        return {"W": self.W, "b": self.b}

    def _called(self, method: str) -> None:
        if method == self._method:
            self._left -= 1
            if self._left <= 0:
                self._wish()

    def cost(self) -> float:
        self._called("cost")
        return float(np.sum(np.sin(self.W)) + self.b @ self.b)

    def grad(self) -> dict[str, Array]:
        self._called("grad")
        return {"W": np.cos(self.W), "b": 2 * self.b}


@pytest.mark.parametrize(("method", "call"), [("cost", 1), ("cost", 9), ("cost", 20), ("grad", 2)])
@pytest.mark.parametrize("wish", WISHES)
def test_what_a_user_wants_passes_through_and_all_is_put_back(
    wish: str, method: str, call: int
) -> None:
    raised, kind = WISHES[wish]
    net = Net(raised, method, call)
    before = {name: array.copy() for name, array in net.params.items()}
    with pytest.raises(kind) as caught:
        check_gradients(net.cost, net.grad, net.params, inplace=True)
    assert type(caught.value).__name__ == kind.__name__
    for name, array in net.params.items():
        assert array.tobytes() == before[name].tobytes()


@pytest.mark.parametrize("wish", WISHES)
def test_what_a_user_wants_passes_through_layers_jacobians_and_batches(wish: str) -> None:
    raised, kind = WISHES[wish]
    x = np.array([0.3, 0.4])

    def late(calls: list[int]) -> None:
        calls.append(1)
        if len(calls) > 4:
            raised()

    def forward(x: Array, calls: list[int]) -> tuple[Array, Array]:
        late(calls)
        return np.sin(x), x

    one: list[int] = []
    with pytest.raises(kind):
        check_gradients.layer(
            lambda x: forward(x, one), lambda dout, cache: dout * np.cos(cache), x
        )
    two: list[int] = []
    with pytest.raises(kind):
        check_gradients.jacobian(lambda x: forward(x, two)[0], lambda x: np.diag(np.cos(x)), x)
    three: list[int] = []
    with pytest.raises(kind):
        check_gradients(
            lambda x: forward(x, three)[0].sum(axis=-1), lambda x: np.cos(x), x, batched=True
        )


class Model:
    """A model with a training mode, whose methods may fail."""

    def __init__(self, fails: str = "") -> None:
        self.training, self._fails = True, fails

    def _do(self, name: str, training: bool) -> None:
        self.training = training
        if name == self._fails:
            raise RuntimeError(f"{name} failed")

    def eval(self) -> None:
        self._do("eval", False)

    def train(self) -> None:
        self._do("train", True)


class Stilled(Extensions):
    """Models are put out of their training mode, as by the plugin."""

    def still(self, value: object) -> AbstractContextManager[object] | None:
        return evaluating(value) if isinstance(value, Model) else None


def check_with(*models: Model, cost: Callable[..., float] | None = None, **settings: Any) -> Any:
    """Check a pair whose data holds models."""
    x = np.ones(2)
    data = {f"model{number}": model for number, model in enumerate(models)}

    def plain(x: Array, **models: Model) -> float:
        return float(x @ x)

    with use_context(Context(extensions=Stilled())):
        return check_gradients(cost or plain, lambda x, **models: 2 * x, x, data=data, **settings)


def test_a_model_whose_eval_fails_leaves_none_in_eval_mode() -> None:
    first, second, third = Model(), Model(fails="eval"), Model()
    with pytest.raises(RuntimeError, match="eval failed"):
        check_with(first, second, third)
    assert all(model.training for model in (first, second, third))


def test_a_manager_that_fails_leaves_no_model_in_eval_mode() -> None:
    @contextmanager
    def failing() -> Iterator[None]:
        raise RuntimeError("no GPU")
        yield

    model = Model()
    with pytest.raises(RuntimeError, match="no GPU"):
        check_with(model, dropout=failing)
    assert model.training


def test_a_manager_that_fails_at_the_end_is_seen_after_the_first_error() -> None:
    @contextmanager
    def failing() -> Iterator[None]:
        yield
        raise RuntimeError("cannot be put back")

    def cost(x: Array, **models: Model) -> float:
        raise KeyError("a row")

    model = Model()
    with pytest.raises(ProblemError, match=r"cost-raised.*a row"):
        check_with(model, cost=cost, dropout=failing)
    assert model.training
    with pytest.raises(RuntimeError, match="cannot be put back"):
        check_with(model, dropout=failing)


def test_a_model_whose_train_fails_is_seen_after_the_first_error() -> None:
    def cost(x: Array, **models: Model) -> float:
        raise KeyError("a row")

    first, second = Model(), Model(fails="train")
    with pytest.raises(ProblemError, match=r"cost-raised.*a row"):
        check_with(first, second, cost=cost)
    assert first.training


def test_a_manager_that_swallows_errors_hides_no_wrong_pair() -> None:
    class Swallowing(AbstractContextManager[None]):
        def __exit__(self, *raised: object) -> bool:
            return True

    def cost(x: Array, **models: Model) -> float:
        raise KeyError("a row")

    with pytest.raises(ProblemError, match="a row"):
        check_with(cost=cost, dropout=Swallowing())


@pytest.mark.parametrize("call", [1, 9, 15])
@pytest.mark.parametrize("then", ["stop", "go on"])
def test_an_array_that_turns_read_only_keeps_none_from_being_restored(call: int, then: str) -> None:
    arrays = {"a": np.arange(3.0), "b": np.arange(3.0) + 0.5, "c": np.arange(2.0) + 0.3}
    before = {name: array.copy() for name, array in arrays.items()}
    calls: list[int] = []

    def cost(p: dict[str, Array]) -> float:
        calls.append(1)
        if len(calls) == call:
            p["b"].flags.writeable = False
            p["a"] += 0.0 if then == "go on" else 1.0
            if then == "stop":
                raise KeyboardInterrupt
        return float(sum(np.sum(np.sin(array)) for array in p.values()))

    expected = KeyboardInterrupt if then == "stop" else (ProblemError, ValueError)
    with pytest.raises(expected):
        check_gradients(cost, lambda p: {name: np.cos(p[name]) for name in p}, arrays, inplace=True)
    for name, array in arrays.items():
        assert array.tobytes() == before[name].tobytes()


# --- errors that are sent --------------------------------------------------------------------


def wrong(**settings: Any) -> GradientError:
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda x: float(x @ x), lambda x: 3 * x, np.ones(3), **settings)
    return caught.value


def test_a_wrong_gradient_can_be_pickled() -> None:
    error = wrong()
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (GradientError, str(error))
    assert again.report == error.report


def test_what_only_code_can_say_stays_behind() -> None:
    manager = contextmanager(lambda: iter([None]))
    error = wrong(dropout=manager, regularization=L2(0.0, 1))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.report.components == error.report.components


def test_a_pair_that_cannot_be_checked_can_be_pickled() -> None:
    error = ProblemError("cost-raised", "it raised: KeyError: 'x'")
    error.extra = 3  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, str(again)) == (ProblemError, "cost-raised", str(error))
    assert again.extra == 3


def raises_here() -> None:
    raise ProblemError("bad-setting", f"in process {os.getpid() > 0}")


def test_a_pool_of_processes_sends_an_error_back() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool, pytest.raises(ProblemError, match="in process True") as caught:
        pool.apply(raises_here)
    assert caught.value.code == "bad-setting"
