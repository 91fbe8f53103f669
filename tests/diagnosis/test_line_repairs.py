"""Small edits that heal a gradient show the line, wherever its value goes from there."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import Finding, check_gradients

SPREAD = """
import numpy as np

PARAMS = np.random.default_rng(0).standard_normal((4, 3))


def cost(p):
    total = 0.0
    for i in range(len(p)):
        for j in range(i):
            apart = p[i] - p[j]
            total += np.log(1 + apart @ apart)
    return total


def grad(p):
    out = np.zeros_like(p)
    for i in range(len(p)):
        for j in range(i):
            apart = p[i] - p[j]
            scale = 2 / (1 + apart @ apart)
            push = scale * apart
            out[i] += push
            out[j] -= push
    return out
"""

HELPED = """
import numpy as np

rng = np.random.default_rng(1)
X = rng.standard_normal((5, 3))
PARAMS = {"W": rng.standard_normal((3, 4)), "v": rng.standard_normal(4)}


def swish(z):
    s = 1 / (1 + np.exp(-z))
    return z * s


def swish_backward(dout, z):
    s = 1 / (1 + np.exp(-z))
    t = z * s
    slope = s + t * (1 - s)
    return dout * slope


def softsign_backward(dout, z):
    return dout / (1 + np.abs(z)) ** 2


def forward(p):
    hidden = [X @ p["W"]]
    hidden.append(swish(hidden[0]))
    score = hidden[1] @ p["v"]
    return hidden, score


def cost(p):
    hidden, score = forward(p)
    return np.sum(score / (1 + np.abs(score)))


def grad(p):
    hidden, score = forward(p)
    ones = [np.ones(len(X))]
    rise = softsign_backward(ones[0], score)
    dv = hidden[1].T @ rise
    down = np.outer(rise, p["v"])
    inner = swish_backward(down, hidden[0])
    dW = X.T @ inner
    return {"W": dW, "v": dv}
"""


def line_told(folder: Path, source: str, right: str, wrong: str) -> tuple[str, dict[str, Any]]:
    """Return the source of the line that a check of a broken pair names, and its module."""
    assert source.count(right) == 1
    path = folder / "users_pair.py"
    path.write_text(source.replace(right, wrong), encoding="utf-8")
    user = runpy.run_path(str(path))
    report = check_gradients(user["cost"], user["grad"], user["PARAMS"], locate=True)
    found: list[Finding] = [finding for finding in report.findings if finding.code == "line"]
    assert len(found) == 1
    assert found[0].where is not None
    return path.read_text(encoding="utf-8").splitlines()[found[0].where[1] - 1].strip(), user


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("out[i] += push", "out[j] += push"),
        ("out[j] -= push", "out[j + 1] -= push"),
        ("out[j] -= push", "out.T[j, :3] -= push"),
    ],
)
def test_a_value_that_is_put_in_the_wrong_place_is_blamed_on_its_line(
    tmp_path: Path, right: str, wrong: str
) -> None:
    line, _ = line_told(tmp_path, SPREAD, right, wrong)
    assert line == wrong


def test_an_edit_may_make_a_value_of_another_shape(tmp_path: Path) -> None:
    line, _ = line_told(tmp_path, SPREAD, "push = scale * apart", "push = scale * i")
    assert line == "push = scale * i"


def test_edits_of_where_a_value_goes_leave_the_parameters_as_they_are(tmp_path: Path) -> None:
    _, user = line_told(tmp_path, SPREAD, "out[i] += push", "out[j] += push")
    assert np.array_equal(user["PARAMS"], np.random.default_rng(0).standard_normal((4, 3)))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("slope = s + t * (1 - s)", "slope = s + t * (1 - t)"),
        ("t = z * s", "t = s"),
        ("down = np.outer(rise, p", "down = np.outer(score, p"),
    ],
)
def test_an_edit_is_judged_by_what_its_caller_makes_of_it(
    tmp_path: Path, right: str, wrong: str
) -> None:
    line, _ = line_told(tmp_path, HELPED, right, wrong)
    assert line.startswith(wrong)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("inner = swish_backward(down, hidden[0])", "inner = swish_backward(down, down)"),
        ("dv = hidden[1].T @ rise", "dv = hidden[1].T @ ones[0]"),
    ],
)
def test_what_is_handed_on_or_taken_may_be_wrong(tmp_path: Path, right: str, wrong: str) -> None:
    line, _ = line_told(tmp_path, HELPED, right, wrong)
    assert line == wrong


SUMMED = """
import numpy as np

X, Y = np.random.default_rng(2).standard_normal((6, 3)), np.arange(6.0)
PARAMS = np.array([0.3, -0.2, 0.5])


def cost(w):
    return 0.5 * np.sum((X @ w - Y) ** 2)


def grad(w):
    dw = np.zeros(3)
    for x, y in zip(X, Y):
        dw = dw + (x @ w - y) * x
    return dw
"""


def test_a_name_that_is_assigned_to_itself_is_told_where_the_gradient_is_zero(
    tmp_path: Path,
) -> None:
    line, _ = line_told(tmp_path, SUMMED, "dw = dw + (x @ w - y) * x", "dw = dw")
    assert line == "dw = dw"


HINGED = """
import numpy as np

rng = np.random.default_rng(3)
X, LABELS = rng.standard_normal((5, 4)), rng.integers(0, 3, 5)
PARAMS = rng.standard_normal((4, 3))


def cost(w):
    total = 0.0
    for x, label in zip(X, LABELS):
        scores = x @ w
        margins = np.maximum(0, scores - scores[label] + 1)
        total += margins.sum() - 1
    return total


def grad(w):
    dw = np.zeros(w.shape)
    for x, label in zip(X, LABELS):
        scores = x @ w
        correct = scores[label]
        for j in range(w.shape[1]):
            if j == label:
                continue
            if scores[j] - correct + 1 > 0:
                dw[:, j] += x
                dw[:, label] -= x
    return dw
"""


def test_a_value_that_decides_which_branch_is_taken_is_found(tmp_path: Path) -> None:
    wrong = "correct = -scores[label]"
    line, _ = line_told(tmp_path, HINGED, "correct = scores[label]", wrong)
    assert line == wrong


DECAYED = """
import numpy as np

rng = np.random.default_rng(4)
X, Y = rng.standard_normal((6, 3)), rng.standard_normal(6)
PARAMS = rng.standard_normal(3)


def cost(w, lambd):
    return 0.5 * np.sum((X @ w - Y) ** 2) + 0.5 * lambd * np.sum(w**2)


def grad(w, lambd):
    rest = X @ w - Y
    dw = X.T @ rest + lambd
    return dw
"""


def test_the_line_of_a_wrong_penalty_is_told_beside_its_cause(tmp_path: Path) -> None:
    path = tmp_path / "users_decay.py"
    path.write_text(DECAYED, encoding="utf-8")
    user = runpy.run_path(str(path))
    report = check_gradients(
        user["cost"], user["grad"], user["PARAMS"], data={"lambd": 0.7}, locate=True
    )
    codes = {finding.code: finding.where for finding in report.findings}
    assert "wrong-regularization" in codes
    assert codes["line"] == (str(path), len(DECAYED.splitlines()) - 1)


LOOPED = """
import numpy as np

U = np.random.default_rng(5).standard_normal((4, 3))
PARAMS = np.array([0.4, -0.3, 0.8])


def cost(v):
    return -sum(np.log(1 / (1 + np.exp(-u @ v))) for u in U)


def part(v, u):
    s = 1 / (1 + np.exp(-u @ v))
    rest = s - 1
    gv = rest * u
    return gv


def grad(v):
    total = np.zeros(3)
    for u in U:
        g = part(v, u)
        total += g
    return total
"""


@pytest.mark.parametrize(
    ("right", "wrong"), [("gv = rest * u", "gv = rest * v"), ("gv = rest * u", "gv = u")]
)
def test_an_edit_of_a_helper_is_judged_in_all_of_its_calls(
    tmp_path: Path, right: str, wrong: str
) -> None:
    line, _ = line_told(tmp_path, LOOPED, right, wrong)
    assert line == wrong
