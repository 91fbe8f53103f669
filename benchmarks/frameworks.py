"""Frameworks: first attempts that work, and custom functions beside the frameworks' own checkers.

``python benchmarks/frameworks.py [calls] [functions] [networks]`` prints one or all of

* the sixty natural calls: how many work, and of how many a spoiled gradient is named;
* forty right custom functions and forty wrong ones, under ``torch.autograd.gradcheck``,
  ``jax.test_util.check_grads``, ``autograd.test_util.check_grads`` and ``gradcheck.autograd``;
* forty right networks with ReLU, in float32, in PyTorch and in JAX.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("DEV", "PYTHON")  # tinygrad's device that needs no compiler

from custom_functions import CustomFunction, in_autograd, in_jax, in_torch, right, wrong
from natural_calls import CALLS
from natural_calls.cupy_stand_in import install

from pytest_gradcheck import ProblemError, Report, check_gradients

FRAMEWORKS = (
    *("torch", "jax", "autograd", "mygrad", "micrograd", "tinygrad", "cupy", "pandas", "xarray"),
    *("sparse", "lmfit"),
)


def natural_calls() -> None:
    """Print how many first attempts work, and how many faults are named, by framework."""
    install()
    for framework in FRAMEWORKS:
        import_module(f"natural_calls.{framework}_calls")
    works, named, total = Counter[str](), Counter[str](), Counter[str]()
    for call in CALLS:
        total[call.framework] += 1
        try:
            works[call.framework] += call.run(check_gradients, 1.0).passed
            report = call.run(check_gradients, 1.5)
        except Exception as error:
            print(f"  {call.framework}, {call.name}: {type(error).__name__}: {error}")
            continue
        found = {c.parameter for c in report.components if c.verdict == "bug"}
        named[call.framework] += found == {call.parameter}
    print(f"{'framework':12}{'calls':>6}{'work':>6}{'fault named':>13}")
    for framework in FRAMEWORKS:
        print(f"{framework:12}{total[framework]:6}{works[framework]:6}{named[framework]:13}")
    print(f"{'all':12}{total.total():6}{works.total():6}{named.total():13}")


class Answer(NamedTuple):
    """What a checker says: right, wrong or undecided; and the component that it names."""

    verdict: str
    named: str | None = None


class Checker(NamedTuple):
    """A checker of custom functions."""

    name: str
    asked: Callable[[CustomFunction], Answer]


def _torch_peer(case: CustomFunction) -> Answer:
    import torch

    x = torch.tensor(case.x, requires_grad=True)
    passed = torch.autograd.gradcheck(in_torch(case), (x,), raise_exception=False)
    return Answer("right" if passed else "wrong")


def _jax_peer(case: CustomFunction) -> Answer:
    import jax
    from jax.test_util import check_grads

    with jax.enable_x64(True):
        try:
            check_grads(in_jax(case), (jax.numpy.asarray(case.x),), order=1, modes=["rev"])
        except AssertionError:
            return Answer("wrong")
    return Answer("right")


def _autograd_peer(case: CustomFunction) -> Answer:
    from autograd.test_util import check_grads

    try:
        check_grads(in_autograd(case), modes=["rev"], order=1)(case.x)
    except AssertionError:
        return Answer("wrong")
    return Answer("right")


def _ours(make: Callable[[CustomFunction], Any], tensor: Callable[[Any], Any]) -> Any:
    def asked(case: CustomFunction) -> Answer:
        try:
            report = check_gradients.autograd(make(case), tensor(case.x))
        except ProblemError as error:
            return Answer("wrong", error.code)
        named = [c.name for c in report.components if c.verdict in ("bug", "suspect")]
        failed = "undecided" if report.verdict == "inconclusive" else "wrong"
        return Answer("right" if report.passed else failed, named[0] if named else None)

    return asked


def _tensor(x: Any) -> Any:
    import torch

    return torch.tensor(x)


CHECKERS = (
    Checker("torch.autograd.gradcheck", _torch_peer),
    Checker("gradcheck.autograd, PyTorch", _ours(in_torch, _tensor)),
    Checker("jax.test_util.check_grads", _jax_peer),
    Checker("gradcheck.autograd, JAX", _ours(in_jax, np.asarray)),
    Checker("autograd.test_util.check_grads", _autograd_peer),
    Checker("gradcheck.autograd, autograd", _ours(in_autograd, np.asarray)),
)


def custom_functions() -> None:
    """Print false alarms, misses and what is named, of each checker over the same functions."""
    print(f"{'checker':32}{'alarms':>8}{'undecided':>11}{'missed':>8}{'named':>7}{'seconds':>9}")
    told = []
    for checker in CHECKERS:
        start = time.perf_counter()
        answers = [(case.name, checker.asked(case)) for case in right()]
        alarms = [name for name, answer in answers if answer.verdict == "wrong"]
        undecided = sum(answer.verdict == "undecided" for _, answer in answers)
        faults = [(case.name, checker.asked(case)) for case in wrong()]
        missed = [name for name, answer in faults if answer.verdict == "right"]
        named = sum(answer.named is not None for _, answer in faults)
        seconds = time.perf_counter() - start
        print(
            f"{checker.name:32}{len(alarms):8}{undecided:11}{len(missed):8}{named:7}{seconds:9.1f}"
        )
        told.append((checker.name, alarms, missed))
    for name, alarms, missed in told:
        print(name)
        print(f"  cried wolf: {'; '.join(alarms) or '-'}")
        print(f"  missed: {'; '.join(missed) or '-'}")


def _torch_network(seed: int) -> Report:
    import torch

    torch.manual_seed(seed)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    X, Y = torch.randn(20, 5), torch.randn(20, 3)

    def cost(net: Any) -> Any:
        return nn.functional.mse_loss(net(X), Y)

    def grad(net: Any) -> Any:
        cost(net).backward()
        return net

    return check_gradients(cost, grad, net)


def _jax_network(seed: int) -> Report:
    import jax

    jnp = jax.numpy
    keys = jax.random.split(jax.random.PRNGKey(seed), 4)
    params = {
        "W1": jax.random.normal(keys[0], (5, 8)) / 5**0.5,
        "b1": jnp.zeros(8),
        "W2": jax.random.normal(keys[1], (8, 3)) / 8**0.5,
        "b2": jnp.zeros(3),
    }
    X, Y = jax.random.normal(keys[2], (20, 5)), jax.random.normal(keys[3], (20, 3))

    @jax.jit
    def cost(p: Any) -> Any:
        hidden = jax.nn.relu(X @ p["W1"] + p["b1"])
        return jnp.mean((hidden @ p["W2"] + p["b2"] - Y) ** 2)

    return check_gradients(cost, jax.jit(jax.grad(cost)), params)


def networks() -> None:
    """Print how many of forty right networks with ReLU in float32 are flagged."""
    for name, network in (("PyTorch", _torch_network), ("JAX", _jax_network)):
        reports = [network(seed) for seed in range(40)]
        flagged = sum(report.verdict in ("suspect", "bug", "nonfinite") for report in reports)
        parts = [part for report in reports for part in report.parameters]
        checked = sum(part.checked for part in parts)
        undecided = sum(part.counts.get("inconclusive", 0) for part in parts) / checked
        print(
            f"40 right float32 networks with ReLU in {name}: {flagged} flagged, "
            f"{sum(report.passed for report in reports)} pass, "
            f"{undecided:.0%} of {checked} components undecided"
        )


SECTIONS = {"calls": natural_calls, "functions": custom_functions, "networks": networks}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for section in sys.argv[1:] or SECTIONS:
        SECTIONS[section]()
        print()
