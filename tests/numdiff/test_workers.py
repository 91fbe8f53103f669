"""Components shared among joblib's workers: processes, threads, and a Dask cluster."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import SkipTest

import joblib
import numpy as np
import numpy.typing as npt
import pytest
from joblib.externals.loky import get_reusable_executor

from pytest_gradcheck import (
    GradientError,
    ProblemError,
    Report,
    check_gradients,
    gradcheck,
)
from pytest_gradcheck.numdiff import workers

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 12)), RNG.normal(size=(3, 12))
PARAMS: Params = {
    "W1": RNG.normal(size=(8, 6)),
    "b1": np.zeros((8, 1)),
    "W2": RNG.normal(size=(3, 8)),
}


def cost(params: Params) -> float:
    A = np.maximum(params["W1"] @ X + params["b1"], 0)
    return float(0.5 * np.sum((params["W2"] @ A - Y) ** 2) / X.shape[1])


def grad(params: Params) -> Params:
    Z = params["W1"] @ X + params["b1"]
    A = np.maximum(Z, 0)
    dZ2 = (params["W2"] @ A - Y) / X.shape[1]
    dZ1 = params["W2"].T @ dZ2 * (Z > 0)
    return {"dW1": dZ1 @ X.T, "db1": dZ1.sum(axis=1, keepdims=True), "dW2": dZ2 @ A.T}


def wrong(params: Params) -> Params:
    gradient = grad(params)
    gradient["dW1"][2, 3] *= 1.5
    gradient["db1"] *= 4
    return gradient


def outcome(report: Report) -> dict[str, Any]:
    """Return all of a report but for the settings, in which the workers stand."""
    return {key: value for key, value in report.to_dict().items() if key != "settings"}


@pytest.fixture(scope="module", autouse=True)
def pool() -> Iterator[None]:
    """End joblib's processes when these tests are over."""
    yield
    get_reusable_executor().shutdown(wait=True)


@pytest.mark.parametrize("gradient", [grad, wrong])
@pytest.mark.parametrize("settings", [{}, {"eps": 1e-5}, {"mode": "sample"}, {"mode": "probe"}])
def test_reports_are_the_same_to_the_last_bit_for_any_number_of_workers(
    gradient: Callable[[Params], Params], settings: dict[str, Any]
) -> None:
    alone, two, three = (
        outcome(check_gradients(cost, gradient, PARAMS, seed=1, workers=count, **settings))
        for count in (1, 2, 3)
    )
    assert alone == two == three


def test_kinks_climb_their_ladders_in_workers_with_the_same_result() -> None:
    params = {"W1": PARAMS["W1"], "b1": -PARAMS["W1"] @ X[:, :1], "W2": PARAMS["W2"]}
    alone, two = (check_gradients(cost, grad, params, workers=count) for count in (1, 2))
    assert alone.parameters[1].counts["kink"] == 8
    assert outcome(alone) == outcome(two)


def test_closures_and_lambdas_are_sent() -> None:
    scale = 3.0
    report = check_gradients(
        lambda p: scale * cost(p),
        lambda p: {k: scale * g for k, g in grad(p).items()},
        PARAMS,
        workers=2,
    )
    assert report.verdict == "ok"


def test_calls_are_made_elsewhere_and_counted_here() -> None:
    here: list[int] = []

    def counted(params: Params) -> float:
        here.append(1)
        return cost(params)

    report = check_gradients(counted, grad, PARAMS, workers=2)
    size = sum(array.size for array in PARAMS.values())
    assert report.evaluations >= 2 * size
    assert len(here) < 40


def test_threads_share_the_functions_and_count_every_call() -> None:
    calls: list[str] = []

    def counted(params: Params) -> float:
        calls.append(threading.current_thread().name)
        return cost(params)

    with joblib.parallel_config("threading"):
        report = check_gradients(counted, grad, PARAMS, workers=2)
    assert outcome(report) == outcome(check_gradients(cost, grad, PARAMS, workers=1))
    assert len(calls) == report.evaluations
    assert len(set(calls)) > 1


class Net:
    """A network that owns its arrays."""

    def __init__(self) -> None:
        self.params = {name: array.copy() for name, array in PARAMS.items()}

    def loss(self) -> float:
        return cost(self.params)

    def gradient(self) -> Params:
        return grad(self.params)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_network_that_owns_its_arrays_is_copied_for_every_worker(backend: str) -> None:
    net = Net()
    with joblib.parallel_config(backend):
        report = check_gradients(net.loss, net.gradient, net.params, inplace=True, workers=2)
    assert report.verdict == "ok"
    assert all(net.params[name].tobytes() == PARAMS[name].tobytes() for name in PARAMS)


def test_arrays_that_are_no_longer_views_of_one_another_in_a_worker_are_reported() -> None:
    whole = np.concatenate([PARAMS["W1"].ravel(), PARAMS["W2"].ravel()])
    views = {"W1": whole[:48].reshape(8, 6), "W2": whole[48:].reshape(3, 8)}

    def value() -> float:  # looks at the whole, of which the params are views
        return float(np.sum(whole**2))

    def slope() -> Params:
        return {name: 2 * view for name, view in views.items()}

    assert check_gradients(value, slope, views, inplace=True).passed
    with pytest.raises(ProblemError, match="in a worker") as caught:
        check_gradients(value, slope, views, inplace=True, workers=2)
    assert caught.value.code == "bad-setting"


def test_frozen_dropout_draws_one_mask_in_every_process() -> None:
    def dropped(params: Params, rng: np.random.Generator) -> float:
        mask = (rng.random(params["W1"].shape) < 0.8) * (np.random.random() + 0.5)
        return float(np.sum(np.sin(params["W1"]) * mask))

    def slope(params: Params, rng: np.random.Generator) -> Params:
        mask = (rng.random(params["W1"].shape) < 0.8) * (np.random.random() + 0.5)
        return {"W1": np.cos(params["W1"]) * mask}

    params = {"W1": PARAMS["W1"]}
    reports = [
        check_gradients(
            dropped,
            slope,
            params,
            data={"rng": np.random.default_rng(3)},
            dropout="freeze",
            workers=count,
        )
        for count in (1, 2)
    ]
    assert reports[1].verdict == "ok"
    # The global generator stands where it stood; only a check of the same state is comparable.
    assert reports[0].verdict == "ok"


def test_frozen_dropout_in_threads_is_refused() -> None:
    with joblib.parallel_config("threading"), pytest.raises(ProblemError, match="threads"):
        check_gradients(cost, grad, PARAMS, dropout="freeze", workers=2)


def test_batched_blocks_are_shared_as_well() -> None:
    def many(x: Array) -> Any:
        return np.sum(np.sin(x), axis=-1)

    x = RNG.normal(size=300)
    alone = check_gradients(many, np.cos, x, batched=True)
    two = check_gradients(many, np.cos, x, batched=True, workers=2)
    assert outcome(alone) == outcome(two)


HERE = os.getpid()


def test_what_a_worker_raises_is_raised_here() -> None:
    def elsewhere(params: Params, here: int = HERE) -> float:
        if os.getpid() != here:
            raise KeyError("a row that is missing")
        return cost(params)

    with pytest.raises(ProblemError, match=r"cost-raised.*KeyError.*a row that is missing") as what:
        check_gradients(elsewhere, grad, PARAMS, workers=2)
    assert what.value.code == "cost-raised"
    assert "KeyError: 'a row that is missing'" in str(what.value.__cause__)


def leave(kind: type[BaseException]) -> None:
    raise kind("not there")


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (lambda: pytest.skip("not there"), pytest.skip.Exception),
        (lambda: pytest.fail("not there"), pytest.fail.Exception),
        (lambda: pytest.exit("not there"), pytest.exit.Exception),
        (functools.partial(leave, SkipTest), SkipTest),
        (functools.partial(leave, SystemExit), SystemExit),
        (functools.partial(leave, KeyboardInterrupt), KeyboardInterrupt),
    ],
)
def test_what_a_user_wants_passes_through_from_a_worker(
    wish: Callable[[], None], expected: type[BaseException]
) -> None:
    def elsewhere(params: Params, here: int = HERE) -> float:
        if os.getpid() != here:
            wish()
        return cost(params)

    with pytest.raises(expected, match="not there"):
        check_gradients(elsewhere, grad, PARAMS, workers=2)


def test_a_function_that_cannot_be_pickled_is_refused_with_the_remedy() -> None:
    lock = threading.Lock()

    def locked(params: Params) -> float:
        with lock:
            return cost(params)

    with pytest.raises(ProblemError, match="cannot be pickled") as caught:
        check_gradients(locked, grad, PARAMS, workers=2)
    assert caught.value.code == "bad-setting"
    assert "parallel_config('threading')" in str(caught.value)
    with joblib.parallel_config("threading"):
        assert check_gradients(locked, grad, PARAMS, workers=2).passed


def test_without_joblib_workers_are_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(ProblemError, match=r"needs joblib: pip install 'pytest-gradcheck\[workers"):
        check_gradients(cost, grad, PARAMS, workers=2)


def test_joblib_is_not_imported_for_one_worker() -> None:
    code = (
        "import sys, numpy as np; from pytest_gradcheck import gradcheck; "
        "gradcheck(lambda x: float(x @ x), lambda x: 2 * x, np.ones(3)); "
        "assert 'joblib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_few_components_are_not_worth_sending() -> None:
    calls: list[int] = []

    def counted(x: Array) -> float:
        calls.append(1)
        return float(x @ x)

    report = check_gradients(counted, lambda x: 2 * x, np.ones(3), workers=2)
    assert len(calls) == report.evaluations


def test_partials_and_methods_are_sent() -> None:
    def scaled(params: Params, factor: float) -> float:
        return factor * cost(params)

    half = functools.partial(scaled, factor=0.5)
    report = check_gradients(
        half, lambda p: {k: 0.5 * g for k, g in grad(p).items()}, PARAMS, workers=2
    )
    assert report.verdict == "ok"


def test_a_dask_cluster_of_two_processes_does_the_work() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        report = check_gradients(cost, grad, PARAMS, workers=2)
        with pytest.raises(GradientError, match=r"W1\[2, 3\]"):
            gradcheck(cost, wrong, PARAMS, workers=2)
    assert outcome(report) == outcome(check_gradients(cost, grad, PARAMS))
