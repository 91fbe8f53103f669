"""The line of a backward pass at which an error enters, found after a failed check."""

from __future__ import annotations

import itertools
import os
import random
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import Finding, Report, check_gradients

NETWORK = """
import numpy as np

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((3, 7)), (rng.random((2, 7)) > 0.5) * 1.0
PARAMS = {
    "W1": rng.standard_normal((4, 3)),
    "b1": rng.standard_normal((4, 1)),
    "W2": rng.standard_normal((2, 4)),
    "b2": np.zeros((2, 1)),
}


def forward(params):
    Z1 = params["W1"] @ X + params["b1"]
    A1 = np.maximum(Z1, 0)
    Z2 = params["W2"] @ A1 + params["b2"]
    A2 = 1 / (1 + np.exp(-Z2))
    return Z1, A1, Z2, A2


def cost(params):
    *_, A2 = forward(params)
    return -np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)) / X.shape[1]


def grad(params):
    Z1, A1, Z2, A2 = forward(params)
    m = X.shape[1]
    dZ2 = (A2 - Y) / m
    dW2 = dZ2 @ A1.T
    db2 = dZ2.sum(axis=1, keepdims=True)
    dA1 = params["W2"].T @ dZ2
    dZ1 = dA1 * (Z1 > 0)
    dW1 = dZ1 @ X.T
    db1 = dZ1.sum(axis=1, keepdims=True)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
"""

RECURRENT = """
import numpy as np

rng = np.random.default_rng(1)
XS, TARGET = rng.standard_normal((5, 3)), rng.standard_normal(4)
PARAMS = {"Wx": rng.standard_normal((4, 3)), "Wh": rng.standard_normal((4, 4)) * 0.5}


def cost(params):
    h = np.zeros(4)
    for x in XS:
        z = params["Wx"] @ x + params["Wh"] @ h
        h = np.tanh(z)
    return 0.5 * np.sum((h - TARGET) ** 2)


def grad(params):
    hs = [np.zeros(4)]
    for x in XS:
        hs.append(np.tanh(params["Wx"] @ x + params["Wh"] @ hs[-1]))
    dWx, dWh = np.zeros((4, 3)), np.zeros((4, 4))
    dh = hs[-1] - TARGET
    for t in reversed(range(len(XS))):
        dz = dh * (1 - hs[t + 1] ** 2)
        dWx += np.outer(dz, XS[t])
        dWh += np.outer(dz, hs[t])
        dh = params["Wh"].T @ dz
    return {"Wx": dWx, "Wh": dWh}
"""

PENALIZED = """
import numpy as np

rng = np.random.default_rng(5)
X, Y = rng.standard_normal((9, 4)), rng.standard_normal((9, 3))
PARAMS = {"V": rng.standard_normal((4, 3)), "c": rng.standard_normal(3)}
DECAY = 0.3


def score(x, V, c):
    out = np.tanh(x @ V + c)
    return out, out


def score_backward(dout, cache):
    out = cache
    dpre = dout * (1 - out**2)
    dV = X.T @ dpre
    dc = dpre.sum(axis=0)
    return dV, dc


def cost(params):
    out, cache = score(X, params["V"], params["c"])
    return 0.5 * np.sum((out - Y) ** 2) / len(X) + 0.5 * DECAY * np.sum(params["V"] ** 2)


def grad(params):
    out, cache = score(X, params["V"], params["c"])
    dout = out - Y
    dV, dc = score_backward(dout, cache)
    dV /= len(X)
    dV += DECAY * params["V"]
    dc /= len(X)
    return {"V": dV, "c": dc}
"""

SCALED = """
import numpy as np

rng = np.random.default_rng(8)
X, Z = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
PARAMS = {"A": rng.standard_normal((3, 4)), "s": rng.standard_normal(4), "r": np.array([0.3, -0.2])}


def scale(v):
    size = np.sqrt((v**2).sum(axis=1, keepdims=True) + 1)
    return v / size, size


def scale_backward(du, u, size):
    along = (du * u).sum(axis=1, keepdims=True)
    dv = (du - u * along) / size
    return dv


def forward(params):
    a = X @ params["A"]
    b = Z @ params["A"] + params["s"]
    ua, sa = scale(a)
    ub, sb = scale(b)
    h = params["r"]
    hs = [h]
    for t in range(3):
        h = np.tanh(1.3 * h)
        hs.append(h)
    return ua, sa, ub, sb, hs


def cost(params):
    ua, _, ub, _, hs = forward(params)
    return np.sum(ua * ub) + np.sum(hs[-1] ** 2)


def grad(params):
    ua, sa, ub, sb, hs = forward(params)
    dua = ub
    dub = ua
    da = scale_backward(dua, ua, sa)
    db = scale_backward(dub, ub, sb)
    dA = X.T @ da
    dA += Z.T @ db
    ds = db.sum(axis=0)
    dh = 2 * hs[-1]
    for t in reversed(range(3)):
        dpre = dh * (1 - hs[t + 1] ** 2)
        dh = 1.3 * dpre
    dr = dh
    return {"A": dA, "s": ds, "r": dr}
"""

Load = Callable[[str], ModuleType]

NUMBERS = itertools.count()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a loader of modules from source, in files of their own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def loaded(source: str) -> ModuleType:
        name = f"of_a_user_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source.lstrip())
        return __import__(name)

    return loaded


def line_of(report: Report) -> Finding | None:
    return next((finding for finding in report.findings if finding.code == "line"), None)


def named(report: Report) -> str:
    """Return the source of the line that a report names."""
    finding = line_of(report)
    assert finding is not None
    assert finding.where is not None
    path, line = finding.where
    return Path(path).read_text().splitlines()[line - 1].strip()


def broken(source: str, right: str, wrong: str) -> str:
    assert source.count(right) == 1
    return source.replace(right, wrong)


def located(load: Load, source: str, right: str, wrong: str) -> Report:
    """Check the pair of a module in which a line is broken, and look for the line."""
    user = load(broken(source, right, wrong))
    return check_gradients(user.cost, user.grad, user.PARAMS, locate=True)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('dA1 = params["W2"].T @ dZ2', 'dA1 = params["W2"].T @ (dZ2 * A2)'),
        ("dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1 * (Z1 < 0)"),
        ("dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1"),
        ("dZ2 = (A2 - Y) / m", "dZ2 = (A2 + Y) / m"),
        ("dW2 = dZ2 @ A1.T", "dW2 = 2 * dZ2 @ A1.T"),
        ("db1 = dZ1.sum(axis=1, keepdims=True)", "db1 = dA1.sum(axis=1, keepdims=True)"),
        ("m = X.shape[1]\n", "m = X.shape[0]\n"),
    ],
)
def test_the_line_that_was_spoiled_is_named(load: Load, right: str, wrong: str) -> None:
    report = located(load, NETWORK, right, wrong)
    assert named(report) == wrong.strip()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('dh = params["Wh"].T @ dz', 'dh = params["Wh"] @ dz'),
        ("dz = dh * (1 - hs[t + 1] ** 2)", "dz = dh * (1 - hs[t] ** 2)"),
        ("dWh += np.outer(dz, hs[t])", "dWh += np.outer(dz, hs[t + 1])"),
    ],
)
def test_a_line_in_a_loop_over_time_is_named(load: Load, right: str, wrong: str) -> None:
    report = located(load, RECURRENT, right, wrong)
    assert named(report) == wrong


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('dV += DECAY * params["V"]', 'dV += 0.7 * DECAY * params["V"]'),
        ('dV += DECAY * params["V"]', 'dV += len(X) * params["V"]'),
        ("dV /= len(X)\n", "dV /= len(Y[0])\n"),
        ("dV = X.T @ dpre", "dV = X.T @ (dpre * out)"),
        ("return dV, dc", "return dV, dout.sum(axis=0)"),
        ('return {"V": dV, "c": dc}', 'return {"V": -dV, "c": dc}'),
        ('return {"V": dV, "c": dc}', 'return {"V": dV, "c": dc[::-1]}'),
    ],
)
def test_a_line_is_distinguished_from_those_that_change_its_value(
    load: Load, right: str, wrong: str
) -> None:
    report = located(load, PENALIZED, right, wrong)
    assert named(report) == wrong.strip()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("db = scale_backward(dub, ub, sb)", "db = scale_backward(dub, ub, sa)"),
        ("db = scale_backward(dub, ub, sb)", "db = scale_backward(dub, ua, sb)"),
        ("dr = dh", "dr = 2 * dh"),
        ("dv = (du - u * along) / size", "dv = (du - u * along) / size**2"),
        ("return dv", "return -dv"),
        ("return dv", "return du"),
    ],
)
def test_a_function_that_has_been_right_before_is_not_blamed_for_what_it_is_handed(
    load: Load, right: str, wrong: str
) -> None:
    assert named(located(load, SCALED, right, wrong)) == wrong


def test_the_line_does_not_hang_on_the_order_of_sets(tmp_path: Path) -> None:
    """Names are text, whose hashes differ from run to run."""
    (tmp_path / "user.py").write_text(broken(SCALED, "return dv", "return du").lstrip())
    (tmp_path / "ask.py").write_text(
        "import user\n"
        "from pytest_gradcheck import check_gradients as check\n"
        "found = check(user.cost, user.grad, user.PARAMS, locate=True).findings\n"
        "print([f.where[1] for f in found if f.code == 'line'])\n"
    )
    beside = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    lines = set()
    for seed in ("0", "5", "6"):
        surroundings = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(beside)}
        command = [sys.executable, "-m", "still_clock", "ask.py"]
        lines.add(subprocess.check_output(command, cwd=tmp_path, env=surroundings, text=True))
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("dout = out - Y", "dout = 1.0 * out"),
        ("dpre = dout * (1 - out**2)", "dpre = dout * 1"),
        ("dpre = dout * (1 - out**2)", "dpre = dout * (1 - out)"),
        ('dV += DECAY * params["V"]', "dV = dV"),
    ],
)
def test_what_a_function_no_longer_says_is_missed_on_its_line(
    load: Load, right: str, wrong: str
) -> None:
    with_data = PENALIZED.replace("def grad(params):", "def grad(params, Y=Y):")
    assert named(located(load, with_data, right, wrong)) == wrong


KEPT = """
import numpy as np

X = np.random.default_rng(6).standard_normal((5, 2))
PARAMS = {"a": np.array([0.3, -0.4]), "b": np.array([1.2, 0.7])}


def cost(params):
    return np.sum(np.tanh(X @ params["a"])) + np.sum(params["b"] ** 3)


def grad(params):
    t = np.tanh(X @ params["a"])
    da = X.T @ (1 - t**2)
    kept, other = [np.zeros(2), np.zeros(2)], [None, None]
    kept[0] = da
    kept[1] = 3 * params["b"] ** 2
    return {"a": kept[0], "b": kept[1]}
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('kept[1] = 3 * params["b"] ** 2', 'other[1] = 3 * params["b"] ** 2'),
        ('return {"a": kept[0], "b": kept[1]}', 'return {"a": kept[0], "b": params["b"]}'),
    ],
)
def test_a_right_value_that_does_not_get_where_it_belongs_is_told(
    load: Load, right: str, wrong: str
) -> None:
    assert named(located(load, KEPT, right, wrong)) == wrong


def test_a_right_value_that_may_have_been_lost_on_two_lines_is_blamed_on_none(load: Load) -> None:
    report = located(load, KEPT, "kept[0] = da", "other[0] = da")
    assert line_of(report) is None


def test_what_is_right_but_not_returned_is_said_with_its_line(load: Load) -> None:
    report = located(load, KEPT, '"b": kept[1]', '"b": np.zeros(2)')
    finding = line_of(report)
    assert finding is not None
    sentence = finding.message.splitlines()[0]
    assert sentence.endswith(": what is returned for b is not kept[1] (line 16), which is right")


FORCES = """
import numpy as np

START = np.random.default_rng(4).standard_normal((5, 3))


def energy(x):
    d = x[:, None, :] - x[None, :, :]
    r2 = (d**2).sum(-1) + np.eye(len(x))
    pairs = np.triu(1 / r2, 1)
    return pairs.sum()


def forces(x):
    d = x[:, None, :] - x[None, :, :]
    r2 = (d**2).sum(-1) + np.eye(len(x))
    pull = -2 * d / r2[:, :, None] ** 2
    f = -pull.sum(axis=1)
    return f
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("pull = -2 * d / r2[:, :, None] ** 2", "pull = -2 * d / r2[:, :, None] ** 3"),
        ("f = -pull.sum(axis=1)", "f = -pull.sum(axis=1) - x"),
    ],
)
def test_forces_are_the_gradient_with_its_sign_turned(load: Load, right: str, wrong: str) -> None:
    user = load(broken(FORCES, right, wrong))
    report = check_gradients(user.energy, lambda x: -user.forces(x), user.START, locate=True)
    assert named(report) == wrong


OBJECTS = """
import numpy as np

rng = np.random.default_rng(3)
X, Y = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))


class Dense:
    def __init__(self, n_in, n_out):
        self.W = rng.standard_normal((n_in, n_out))
        self.b = rng.standard_normal(n_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        dx = dout @ self.W.T
        return dx


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, dout):
        dx = dout * (1 - self.out**2)
        return dx


class Net:
    def __init__(self):
        self.layers = [Dense(3, 4), Tanh(), Dense(4, 2)]

    def loss(self):
        h = X
        for layer in self.layers:
            h = layer.forward(h)
        self.out = h
        return 0.5 * np.sum((h - Y) ** 2)

    def gradient(self):
        grad = self.out - Y
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        first, _, last = self.layers
        return [{"W": first.dW, "b": first.db}, {}, {"W": last.dW, "b": last.db}]


class Scaled:
    def __init__(self):
        self.w, self.c = rng.standard_normal(4), 0.7


def cost_of(model):
    z = model.w * model.c
    return np.sum(np.sin(z) * z)


def grad_of(model):
    z = model.w * model.c
    dz = np.cos(z) * z + np.sin(z)
    dw = dz * model.c
    dc = np.sum(dz * model.w)
    return {"w": dw, "c": dc}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "check"),
    [
        ("self.db = dout.sum(axis=0)", "self.db = 2 * dout.sum(axis=0)", "layer"),
        ("dx = dout @ self.W.T", "dx = 2 * dout @ self.W.T", "layer"),
        ("dx = dout * (1 - self.out**2)", "dx = dout * (1 - self.out)", "activation"),
        ("dx = dout * (1 - self.out**2)", "dx = dout * (1 - self.out)", "network"),
        ("grad = self.out - Y", "grad = self.out + Y", "network"),
        ("dz = np.cos(z) * z + np.sin(z)", "dz = np.cos(z) * z - np.sin(z)", "attributes"),
        ("dc = np.sum(dz * model.w)", "dc = np.sum(dz * model.w**2)", "attributes"),
    ],
)
def test_a_line_is_named_where_objects_hold_the_values(
    load: Load, right: str, wrong: str, check: str
) -> None:
    user = load(broken(OBJECTS, right, wrong))
    if check == "layer":
        report = check_gradients.layer(user.Dense(3, 2), user.X, locate=True)
    elif check == "activation":
        report = check_gradients.layer(user.Tanh(), user.X, locate=True)
    elif check == "network":
        net = user.Net()
        params = [vars(layer) for layer in net.layers]
        params = [{name: p[name] for name in ("W", "b") if name in p} for p in params]
        report = check_gradients(net.loss, net.gradient, params, inplace=True, locate=True)
    else:
        report = check_gradients(user.cost_of, user.grad_of, user.Scaled(), locate=True)
    assert named(report) == wrong


TENSORS = """
import numpy as np

X = np.random.default_rng(0).standard_normal((6, 3))


class Tensor:
    def __init__(self, data, parents=()):
        self.data = np.asarray(data, dtype=np.float64)
        self.grad = np.zeros_like(self.data)
        self.parents, self._backward = parents, lambda: None

    def __matmul__(self, other):
        out = Tensor(self.data @ other.data, (self, other))

        def backward():
            self.grad = self.grad + out.grad @ other.data.T
            other.grad = other.grad + self.data.T @ out.grad

        out._backward = backward
        return out

    def tanh(self):
        value = np.tanh(self.data)
        out = Tensor(value, (self,))

        def backward():
            self.grad = self.grad + out.grad * (1 - value**2)

        out._backward = backward
        return out

    def square_sum(self):
        out = Tensor((self.data**2).sum(), (self,))

        def backward():
            self.grad = self.grad + out.grad * 2 * self.data

        out._backward = backward
        return out

    def backward(self):
        order = []

        def visit(node):
            if all(node is not other for other in order):
                for parent in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = np.ones_like(self.data)
        for node in reversed(order):
            node._backward()


def loss(w, v):
    h = (Tensor(X) @ w).tanh()
    return (h @ v).tanh().square_sum()


def cost(p):
    return float(loss(Tensor(p["w"]), Tensor(p["v"])).data)


def grad(p):
    w, v = Tensor(p["w"]), Tensor(p["v"])
    loss(w, v).backward()
    return {"w": w.grad, "v": v.grad}
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("out.grad * (1 - value**2)", "out.grad * (1 - value)"),
        ("out.grad @ other.data.T", "out.grad @ (other.data.T * 2)"),
        ("self.data.T @ out.grad", "self.data.T @ -out.grad"),
    ],
)
def test_a_line_of_homemade_tensors_is_named(load: Load, right: str, wrong: str) -> None:
    user = load(broken(TENSORS, right, wrong))
    rng = np.random.default_rng(1)
    params = {"w": rng.standard_normal((3, 4)), "v": rng.standard_normal((4, 2))}
    report = check_gradients(user.cost, user.grad, params, locate=True)
    assert wrong in named(report)


def test_the_finding_says_what_is_right_before_and_how_to_mend_it(load: Load) -> None:
    report = located(load, NETWORK, ".T @ dZ2\n", ".T @ (dZ2 * A2)\n")
    finding = line_of(report)
    assert finding is not None
    assert finding.where is not None
    sentence, *excerpt = finding.message.splitlines()
    place = f"{Path(finding.where[0]).name}:{finding.where[1]}"
    assert sentence == (
        f"{place}: dA1 is wrong (upstream of W1, b1): dZ2, which it is made of, is right; "
        "with `params['W2'].T @ dZ2` in its place the whole gradient is right"
    )
    marks = {line.split("  ")[-1]: line.split()[1] for line in excerpt if "enters" not in line}
    assert marks["dW2 = dZ2 @ A1.T"] == "right"
    assert marks["dZ1 = dA1 * (Z1 > 0)"] == marks["dW1 = dZ1 @ X.T"] == "WRONG"
    assert [line for line in excerpt if line.endswith("<- enters here")]
    assert (finding.severity, finding.parameters) == ("cause", ("W1", "b1"))


def test_the_first_line_of_the_text_ends_with_the_place(load: Load) -> None:
    report = located(load, NETWORK, ".T @ dZ2\n", ".T @ (dZ2 * A2)\n")
    finding = line_of(report)
    assert finding is not None
    assert finding.where is not None
    place = f" ({Path(finding.where[0]).name}:{finding.where[1]})"
    assert str(report).splitlines()[0].rstrip(":,").endswith(place)
    assert report.to_dict()["findings"][-1]["where"] == list(finding.where)


def test_nothing_is_looked_for_where_the_gradient_is_right_or_locate_is_off(load: Load) -> None:
    right, wrong = load(NETWORK), load(broken(NETWORK, "dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1"))
    for user, locate in ((right, True), (wrong, False)):
        report = check_gradients(user.cost, user.grad, user.PARAMS, locate=locate)
        assert line_of(report) is None


def test_it_takes_at_most_200_calls(load: Load) -> None:
    user = load(broken(NETWORK, "dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1 * Z1 ** 3"))
    counts = []

    def counted(function: Any) -> Any:
        def call(params: Any) -> Any:
            counts.append(1)
            return function(params)

        return call

    cost, grad = counted(user.cost), counted(user.grad)
    calls = []
    for locate in (False, True):
        counts.clear()
        check_gradients(cost, grad, user.PARAMS, locate=locate)
        calls.append(len(counts))
    assert 0 < calls[1] - calls[0] <= 200 + 1


def test_the_line_is_looked_for_at_the_worst_point(load: Load) -> None:
    user = load(
        """
import numpy as np

ORIGIN = np.array([1.0, -2.0])


def cost(x):
    r = x - ORIGIN
    s = r @ r
    return 0.5 * s + 0.25 * s**2


def grad(x):
    r = x - ORIGIN
    s = r @ r
    dr = r + 1.02 * s * r
    return dr
"""
    )
    draws = iter([0.1, 20.0, 0.3])

    def draw(rng: Any) -> Any:
        return user.ORIGIN + next(draws)

    report = check_gradients(user.cost, user.grad, draw, seeds=3, locate=True)
    told = [point for point in report.points if any(f.code == "line" for f in point.findings)]
    assert not report.points[0].passed
    assert told == [report.worst_point] == [report.points[1]]
    assert named(report) == "dr = r + 1.02 * s * r"


def test_a_network_that_has_got_other_arrays_is_looked_at_where_it_stands(load: Load) -> None:
    user = load(
        """
class Network:
    def draw(self, rng):
        self.w = rng.standard_normal(3)
        return {"w": self.w}

    def cost(self):
        s = (self.w**2).sum()
        return s**2

    def grad(self):
        s = (self.w**2).sum()
        dw = 4.1 * s * self.w
        return {"w": dw}
"""
    )
    network = user.Network()
    report = check_gradients(
        network.cost, network.grad, network.draw, seeds=3, inplace=True, locate=True
    )
    assert [point.passed for point in report.points] == [False] * 3
    assert line_of(report) is report.points[-1].findings[-1]
    assert named(report) == "dw = 4.1 * s * self.w"


def test_a_debugger_is_left_alone(load: Load) -> None:
    user = load(broken(NETWORK, "dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1"))
    before = sys.gettrace()

    def debugger(frame: Any, event: str, arg: Any) -> None:
        return None

    sys.settrace(debugger)
    try:
        report = check_gradients(user.cost, user.grad, user.PARAMS, locate=True)
        assert sys.gettrace() is debugger
    finally:
        sys.settrace(before)
    assert line_of(report) is None


def test_a_value_that_is_right_does_not_clear_what_a_zero_hides(load: Load) -> None:
    source = """
import numpy as np

X = np.random.default_rng(6).standard_normal((7, 3))
T = np.random.default_rng(7).standard_normal((7, 3))


def cost(w):
    x = X * w
    mean = x.mean(axis=0)
    centred = x - mean
    out = centred / np.sqrt((centred**2).mean(axis=0) + 0.1)
    return np.sum(out * T)


def grad(w):
    x = X * w
    mean = x.mean(axis=0)
    size = np.sqrt(((x - mean) ** 2).mean(axis=0) + 0.1)
    dvar = -0.5 * np.sum(T * (x - mean), axis=0) / size**3
    dmean = -np.sum(T, axis=0) / size + dvar * np.mean(-2 * (x - mean), axis=0)
    dx = T / size + dvar * 2 * (x - mean) / len(x) + dmean / len(x)
    return np.sum(dx * X, axis=0)
"""
    for right, wrong in (("/ size**3", "/ size**2"), ("-0.5 * np.sum(T *", "-0.25 * np.sum(T *")):
        user = load(broken(source, right, wrong))
        report = check_gradients(user.cost, user.grad, np.array([1.0, -0.6, 1.7]), locate=True)
        assert wrong in named(report)


def test_nothing_of_the_users_is_changed(load: Load) -> None:
    user = load(broken(NETWORK, "dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1"))
    arrays = {**user.PARAMS, "X": user.X, "Y": user.Y}
    copies = {name: array.copy() for name, array in arrays.items()}
    np.random.seed(3)
    random.seed(3)
    states = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    trace = sys.gettrace()
    assert line_of(check_gradients(user.cost, user.grad, user.PARAMS, locate=True)) is not None
    assert sys.gettrace() is trace
    now = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    assert now == states
    assert all(np.array_equal(arrays[name], copies[name]) for name in arrays)


def test_functions_without_source_make_no_noise() -> None:
    space: dict[str, Any] = {"np": np}
    exec("def cost(x): return float(x @ x)\ndef grad(x): return 3 * x", space)
    report = check_gradients(space["cost"], space["grad"], np.array([1.0, 2.0]), locate=True)
    assert not report.passed
    assert line_of(report) is None
    assert not [note for note in report.notes if "line" in note]


def test_an_error_in_the_users_function_is_no_error_of_the_check(load: Load) -> None:
    user = load(broken(NETWORK, "dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1"))
    plain = check_gradients(user.cost, user.grad, user.PARAMS, locate=False)
    calls = []

    def cost(params: Any) -> Any:
        calls.append(1)
        if len(calls) > plain.evaluations + 3:
            raise RuntimeError("enough")
        return user.cost(params)

    report = check_gradients(cost, user.grad, user.PARAMS, locate=True)
    assert not report.passed


def test_the_examples_of_the_page_are_what_the_checks_say() -> None:
    from line_examples import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page()


def test_mutants_of_backward_passes_are_seldom_blamed_on_a_right_line() -> None:
    from lines import failing, outcome

    told = [
        outcome(report, mutant.line)
        for style in ("course_two_layer", "layer_objects", "vae", "rnn_char")
        for mutant, report, _ in failing(style, 5, seed=1)
    ]
    assert told.count("wrong") <= 1
    assert told.count("line") >= 15


def test_a_value_of_zero_that_is_computed_again_is_right(tmp_path: Path) -> None:
    source = """
import numpy as np

X = np.random.default_rng(0).normal(size=(3, 20))
y = (X.sum(axis=0) > 0).astype(float)

def cost(p):
    z = p["w"] @ X + p["b"]
    return np.mean(np.logaddexp(0, z) - y * z)

def gradient(p):
    z = p["w"] @ X + p["b"]
    dz = 1 / (1 + np.exp(-z)) - y
    return {"w": X @ dz, "b": dz.sum()}
"""
    path = tmp_path / "logistic_at_zero.py"
    path.write_text(source, encoding="utf-8")
    module = runpy.run_path(str(path))
    report = check_gradients(
        module["cost"], module["gradient"], {"w": np.zeros(3), "b": 0.0}, locate=True
    )
    told = [finding for finding in report.findings if finding.code == "line"]
    again = source.splitlines().index('    z = p["w"] @ X + p["b"]', 9) + 1
    assert [finding.where for finding in told if finding.where == (str(path), again)] == []
    assert ": z is wrong" not in " ".join(finding.message for finding in told)
    assert [finding.where for finding in told] == [(str(path), again + 1)]


NESTED = """
import numpy as np

rng = np.random.default_rng(8)
X, Y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
PARAMS = {"V": rng.standard_normal((3, 4)), "U": rng.standard_normal((4, 2))}


def forward(params):
    first = {"z": X @ params["V"]}
    kept = {"h": [np.tanh(first["z"]), "unused"]}
    return kept["h"][0] @ params["U"], first, kept


def cost(params):
    return 0.5 * np.sum((forward(params)[0] - Y) ** 2)


def grad(params):
    out, first, kept = forward(params)
    dout = out - Y
    h = kept["h"][0]
    dU = h.T @ dout
    dh = dout @ params["U"].T
    dz = dh * (1 - h**2)
    dV = X.T @ dz
    return {"V": dV, "U": dU}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "proved"),
    [
        ("dz = dh * (1 - h**2)", "dz = dh * (1 - h)", "dh"),
        ("dV = X.T @ dz", "dV = -X.T @ dz", "dz"),
    ],
)
def test_values_are_moved_where_containers_inside_of_others_hold_them(
    load: Load, right: str, wrong: str, proved: str
) -> None:
    """Only a cost at another ``kept["h"][0]``, or ``first["z"]``, can show a value to be right."""
    report = located(load, NESTED, right, wrong)
    assert named(report) == wrong
    finding = line_of(report)
    assert finding is not None
    assert f"{proved}, which it is made of, is right" in finding.message
