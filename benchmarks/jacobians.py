"""Jacobians and Hessians: false alarms, misses, what is named, and how many calls that takes.

Run it with ``python benchmarks/jacobians.py`` or ``python -m benchmarks.jacobians``; SciPy's, and
where they are installed OpenMDAO's and PyTorch's checks, are asked about the same matrices.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # for `python -m` as well

import numpy as np
from matrices import FAULTS, Array, Fault, Matrix, matrices
from scipy import sparse
from scipy.optimize import check_grad
from scipy.optimize._numdiff import approx_derivative

from pytest_gradcheck import Report, check_gradients

VISIBLE = 2e-3
"""A fault changes an entry by more than this part of it, and of its row's usual size."""


class Counts(NamedTuple):
    """What a run over faults came to."""

    planted: int
    missed: int
    falsely_named: int
    unnamed_place: int
    right_cause: int
    wrong_cause: int


def dense(matrix: Matrix, x: Array) -> Array:
    """Return a matrix as an array of two axes."""
    J = matrix.jac(x)
    full = J.toarray() if hasattr(J, "toarray") else J
    return np.array(full, np.float64).reshape(-1, x.size)


def checked(matrix: Matrix, jac: Any = None) -> Report:
    """Check a matrix, or another in its place."""
    check = check_gradients.hessian if matrix.symmetric else check_gradients.jacobian
    return check(matrix.fun, matrix.jac if jac is None else jac, matrix.x)


def false_alarms(every: list[Matrix]) -> tuple[int, int, float]:
    """Return how many right matrices fail, how many leave entries open, and the worst calls."""
    wrong = open_ = 0
    most = 0.0
    for matrix in every:
        report = checked(matrix)
        wrong += not report.passed
        open_ += any(parameter.counts["inconclusive"] for parameter in report.parameters)
        most = max(most, report.evaluations - 2 * matrix.x.size)
        if not report.passed:
            print("FALSE ALARM", matrix.name, report.components[:1])
    return wrong, open_, most


def visible(J: Array, wrong: Array) -> Any:
    """Return which entries a fault changes by more than anyone would tolerate."""
    usual = np.sqrt((J**2).mean(axis=1, keepdims=True))
    off = np.abs(wrong - J)
    return (off > VISIBLE * (np.abs(J) + np.abs(wrong))) & (off > 3 * VISIBLE * usual)


def planted(every: list[Matrix], count: int, seed: int) -> dict[str, Counts]:
    """Plant faults in turn until there are so many; return the counts by fault."""
    table: dict[str, Counter[str]] = {fault.__name__: Counter() for fault in FAULTS}
    done = number = 0
    while done < count:
        matrix, fault = every[number % len(every)], FAULTS[number % len(FAULTS)]
        rng = np.random.default_rng([seed, number])
        number += 1
        done += plant(matrix, fault, rng, table[fault.__name__])
    return {name: Counts(*(row[field] for field in Counts._fields)) for name, row in table.items()}


def plant(matrix: Matrix, fault: Fault, rng: np.random.Generator, row: Counter[str]) -> bool:
    """Plant one fault and count what the report says; return whether it could be planted."""
    J = dense(matrix, matrix.x)
    wrong = fault(J, matrix.x, rng)
    seen = None if wrong is None else visible(J, wrong.matrix)
    if wrong is None or seen is None or not seen.any():
        return False
    report = checked(matrix, lambda x: wrong.matrix)
    places = {c.entry for c in report.components if c.verdict in ("bug", "suspect")}
    due = {(int(i), int(j)) for i, j in np.argwhere(seen)}
    same = {(int(i), int(j)) for i, j in np.argwhere(np.abs(wrong.matrix - J) < 1e-9 * np.abs(J))}
    causes = [f for f in report.findings if f.severity == "cause"]
    row["planted"] += 1
    row["missed"] += report.passed or not due <= places
    row["falsely_named"] += bool(places & same)
    text = " ".join(f.message for f in causes)
    row["unnamed_place"] += bool(wrong.said) and wrong.said not in text
    codes = {f.code for f in causes} - {"asymmetric"} or {f.code for f in causes}
    row["right_cause"] += bool(codes) and codes <= wrong.codes
    row["wrong_cause"] += bool(codes - wrong.codes)
    return True


def tell(table: dict[str, Counts]) -> None:
    """Print the table of faults, and their sums."""
    print(f"{'fault':14}" + "".join(f"{field:>15}" for field in Counts._fields))
    total = Counts(*(sum(column) for column in zip(*table.values(), strict=True)))
    for name, counts in [*table.items(), ("all", total)]:
        print(f"{name:14}" + "".join(f"{value:15}" for value in counts))
    print(
        f"cause right {total.right_cause / total.planted:.1%}, wrong "
        f"{total.wrong_cause / total.planted:.1%}"
    )


def raveled(matrix: Matrix) -> Callable[[Array], Array]:
    """Return the function of a matrix as one of a vector."""
    return lambda x: np.array(np.ravel(matrix.fun(x)), np.float64)


Peer = Callable[[Callable[[Array], Array], Array, Array], bool]
"""Says whether another tool, at its defaults, takes a matrix for that of a function at a point."""


def scipy_takes(fun: Callable[[Array], Array], J: Array, x: Array) -> bool:
    """Ask ``approx_derivative``, with the tolerances that SciPy's own tests have."""
    return bool(np.allclose(approx_derivative(fun, x), J, rtol=1e-5, atol=1e-8))


def check_grad_takes(fun: Callable[[Array], Array], J: Array, x: Array) -> bool:
    """Ask ``check_grad`` about one row after the other, as SciPy's documentation has it."""

    def off(row: int) -> float:
        ask: Any = check_grad  # its types want other arrays
        return float(ask(lambda x: fun(x)[row], lambda x: J[row], x))

    return max(map(off, range(len(J)))) < 1e-5


def torch_takes(fun: Callable[[Array], Array], J: Array, x: Array) -> bool:
    """Ask ``torch.autograd.gradcheck`` about a function whose backward pass is the matrix."""
    torch: Any = import_module("torch")

    class Wrapped(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return torch.from_numpy(fun(x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return dout @ torch.from_numpy(np.ascontiguousarray(J))

    leaf = torch.tensor(x, requires_grad=True)
    return bool(torch.autograd.gradcheck(Wrapped.apply, leaf, raise_exception=False))


def openmdao_takes(fun: Callable[[Array], Array], J: Array, x: Array) -> bool:
    """Ask ``check_partials`` of OpenMDAO, and ``assert_check_partials`` about its answer."""
    om: Any = import_module("openmdao.api")
    checks: Any = import_module("openmdao.utils.assert_utils")

    class Component(om.ExplicitComponent):  # type: ignore[misc]
        def setup(self) -> None:
            self.add_input("x", val=x)
            self.add_output("y", val=fun(x))
            self.declare_partials("y", "x")

        def compute(self, inputs: Any, outputs: Any) -> None:
            outputs["y"] = fun(np.array(inputs["x"]))

        def compute_partials(self, inputs: Any, partials: Any) -> None:
            partials["y", "x"] = J

    problem = om.Problem(reports=False)
    problem.model.add_subsystem("component", Component())
    problem.setup()
    problem.run_model()
    try:
        checks.assert_check_partials(problem.check_partials(out_stream=None))
    except ValueError:
        return False
    return True


def ours_takes(fun: Callable[[Array], Array], J: Array, x: Array) -> bool:
    """Ask ``check_gradients.jacobian``."""
    return check_gradients.jacobian(fun, lambda x: J, x).passed


PEERS: dict[str, Peer] = {
    "pytest-gradcheck": ours_takes,
    "scipy approx_derivative": scipy_takes,
    "scipy check_grad": check_grad_takes,
    "torch gradcheck": torch_takes,
    "OpenMDAO check_partials": openmdao_takes,
}


def peers(every: list[Matrix], count: int, seed: int) -> None:
    """Print how many right matrices each tool refuses, and how many wrong ones it takes."""
    cases = []
    for number, matrix in enumerate(every * (1 + count // len(every))):
        J, rng = dense(matrix, matrix.x), np.random.default_rng([seed, number])
        wrong = FAULTS[number % len(FAULTS)](J, matrix.x, rng)
        if wrong is not None and visible(J, wrong.matrix).any():
            cases.append((matrix, wrong.matrix))
    for name, takes in PEERS.items():
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                refused = [m.name for m in every if not takes(raveled(m), dense(m, m.x), m.x)]
                taken = sum(takes(raveled(m), J, m.x) for m, J in cases[:count])
        except ImportError:
            print(f"{name:26} not installed")
            continue
        print(
            f"{name:26} {len(refused):4} of {len(every)} right ones refused, {taken:4} of "
            f"{len(cases[:count])} wrong ones taken"
        )


def small_rows() -> None:
    """Print which tools see the sign of a row that is a billion times smaller than the others."""
    rng = np.random.default_rng(3)
    A, x, size = rng.normal(size=(6, 4)), rng.normal(size=4), np.ones(6)
    size[4] = 1e-9
    J = (size * np.cos(A @ x))[:, None] * A
    J[4] *= -1
    for name, takes in PEERS.items():
        try:
            seen = not takes(lambda x: size * np.sin(A @ x), J, x)
        except ImportError:
            continue
        print(f"{name:26} {'sees' if seen else 'misses'} the sign of a row of 1e-9")


def sizes() -> None:
    """Print what large matrices take, beside a bare loop of central differences."""
    rng = np.random.default_rng(2)
    A, x = rng.normal(size=(1000, 1000)) / 30, rng.normal(size=1000)

    def f(x: Array) -> Array:
        return np.asarray(np.tanh(A @ x))

    def J(x: Array) -> Array:
        return np.asarray((1 - np.tanh(A @ x) ** 2)[:, None] * A)

    def loop() -> float:
        D, y, h = np.empty((1000, 1000)), x.copy(), 6e-6
        for j in range(1000):
            y[j] = x[j] + h
            up = f(y)
            y[j] = x[j] - h
            D[:, j] = (up - f(y)) / (2 * h)
            y[j] = x[j]
        return float(np.abs(D - J(x)).max())

    rounds = [
        (_seconds(loop), _seconds(lambda: check_gradients.jacobian(f, J, x))) for _ in range(7)
    ]
    bare, ours = (min(seconds) for seconds in zip(*rounds, strict=True))
    calls = check_gradients.jacobian(f, J, x).evaluations
    print(f"1,000 x 1,000: {calls} calls, {ours / bare:.2f} times the bare loop of {bare:.2f} s")
    n = 100_000
    at = rng.normal(size=n)

    def band(x: Array) -> Array:
        y = x**3 / 10 - 2 * x
        y[1:] += x[:-1]
        y[:-1] += x[1:] ** 2 / 2
        return y

    def banded(x: Array) -> Any:
        parts = [np.ones(n - 1), 0.3 * x**2 - 2, x[1:]]
        return sparse.diags_array(parts, offsets=[-1, 0, 1], format="csr")

    report = check_gradients.jacobian(band, banded, at)
    seconds = _seconds(lambda: check_gradients.jacobian(band, banded, at))
    print(f"sparse 1e5 x 1e5: {report.evaluations} calls, {seconds:.1f} s, {report.verdict}")


def _seconds(call: Any) -> float:
    """Return the processor time of a call, which others on the machine disturb least."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=31, help="random matrices among the right")
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    every = matrices(options.random)
    wrong, open_, most = false_alarms(every)
    print(
        f"{len(every)} right matrices: {wrong} false alarms, {open_} with open entries, at most "
        f"2 n + {most:.0f} calls"
    )
    tell(planted(every, options.faults, options.seed))
    peers(every, options.faults, options.seed)
    small_rows()
    sizes()


if __name__ == "__main__":
    main()
