"""What was said of faults that are something else: each with the cause that it has, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.context import Style
from pytest_gradcheck.diagnosis.hypotheses import rule
from pytest_gradcheck.diagnosis.rules import RULES
from pytest_gradcheck.errors import Guard

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

RNG = np.random.default_rng(77)
X = RNG.normal(size=(6, 4))
W = RNG.normal(size=(4, 4))
A = RNG.uniform(0.2, 2.0, size=7)


def causes(report: Report) -> list[str]:
    return [f.code for f in report.findings if f.severity == "cause"]


# A penalty


def test_rows_whose_mask_is_forgotten_are_no_penalty() -> None:
    """Right components, at which theta is not 0, contradict it."""
    m = np.array([1.0, 0, 1, 0, 1, 1])[:, None]
    report = check_gradients(
        lambda x: float(np.sum(m * (x**2 / 2 + np.sin(x)))), lambda x: m * np.cos(x), X
    )
    assert not {"missing-regularization", "wrong-regularization"} & set(causes(report))


def test_inputs_of_a_layer_have_no_penalty() -> None:
    report = check_gradients.layer(
        lambda x: (np.sin(x), x), lambda dout, x: (dout * np.cos(x) + 0.1 * x,), X
    )
    assert not {"missing-regularization", "wrong-regularization"} & set(causes(report))


@pytest.mark.parametrize(
    ("share", "code", "words"),
    [
        (0.0, "missing-regularization", "missing in the gradient"),
        (0.5, "wrong-regularization", "half"),
        (-1.0, "wrong-regularization", "minus"),
        (2.0, "wrong-regularization", "twice"),
    ],
)
def test_the_penalty_of_a_closure_is_recognized_by_what_the_gradient_has_of_it(
    share: float, code: str, words: str
) -> None:
    lambd, m = 0.7, 6

    def cost(p: Params) -> float:
        return float(np.sum(np.tanh(X @ p["w"]))) + lambd / (2 * m) * float(p["w"] @ p["w"])

    def grad(p: Params) -> Params:
        return {"w": X.T @ (1 - np.tanh(X @ p["w"]) ** 2) + share * lambd / m * p["w"]}

    report = check_gradients(cost, grad, {"w": RNG.normal(size=4)})
    assert causes(report) == [code]
    assert words in report.findings[0].message


# A constant, another point, a chain rule


def test_a_constant_is_no_other_point() -> None:
    report = check_gradients(lambda a: float(np.sum(a * np.log(a))), np.log, A)
    assert causes(report) == ["offset"]
    assert "the numerical gradient - 1 throughout" in report.findings[0].message


def test_one_number_is_no_other_point() -> None:
    """Zeros are no evidence that one component is a third of what it is at another theta."""
    x = np.array([0.0, 0, 0, 1.2, 0, 0])
    report = check_gradients(lambda x: float(np.sum(x**4)), lambda x: 12 * x**3 + 0 * x, x)
    assert "stale" not in causes(report)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (lambda t: np.exp(-t), "exp(-theta)"),
        (lambda t: t, "theta"),
        (lambda t: 0.5 / t, "1/(2 theta)"),
        (lambda t: 1 - np.tanh(t) ** 2, "1 - tanh(theta)^2"),
    ],
)
def test_a_chain_rule_that_is_missing_is_reported(ratio: Any, words: str) -> None:
    report = check_gradients(lambda a: float(np.sum(np.sin(a))), lambda a: np.cos(a) * ratio(a), A)
    assert causes(report) == ["transformed"]
    assert f"times {words}: " in report.findings[0].message


def test_the_logarithm_at_the_end_of_a_vector_is_reported() -> None:
    y = RNG.normal(size=20)

    def cost(t: Array) -> float:
        return float(np.sum((y - t[0] - t[1] * y**2) ** 2) / (2 * np.exp(2 * t[2])) + 20 * t[2])

    def grad(t: Array) -> Array:
        r, s2 = y - t[0] - t[1] * y**2, np.exp(2 * t[2])
        slope = 20 - np.sum(r**2) / s2
        return np.array([-np.sum(r) / s2, -np.sum(r * y**2) / s2, slope * np.exp(-t[2])])

    report = check_gradients(cost, grad, np.array([0.31, -0.2177, 0.4123]))
    assert causes(report) == ["transformed"]
    assert "at [2] the numerical gradient times exp(-theta)" in report.findings[0].message


# Factors


def test_a_ratio_that_is_nearly_the_same_is_no_factor() -> None:
    """6 s^2 (1 - s) beside a slope of 4 s^2 (1 - s): 1.5 to four digits, and not to ten."""
    x = np.linspace(-1e-4, 1e-4, 5)

    def s(x: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-x)))

    report = check_gradients(
        lambda x: float(np.sum(s(x) ** 2)), lambda x: 6 * s(x) ** 3 * (1 - s(x)), x
    )
    assert causes(report) == []


def test_a_number_that_happens_to_be_in_sight_has_no_role() -> None:
    q = 0.01
    report = check_gradients(
        lambda p: float(np.sum(np.sin(p["w"])) + q * p["b"]),
        lambda p: {"w": 0.01 * np.cos(p["w"]), "b": q},
        {"w": A, "b": 0.3},
    )
    assert causes(report) == ["scale"]
    assert "q" not in report.findings[0].message.split(":")[1].split()


def test_a_mean_is_reported_in_float32() -> None:
    data, target = RNG.normal(size=(100, 3)), RNG.normal(size=100)

    def cost(w: Array) -> float:
        single = (data @ w - target).astype(np.float32)
        return float(np.mean(np.float32(0.5) * single**2))

    report = check_gradients(
        cost, lambda w: (data.T @ (data @ w - target)).astype(np.float32), RNG.normal(size=3)
    )
    assert causes(report) == ["scale"]
    assert "100 is " in report.findings[0].message


def test_clipping_is_recognized_by_the_norm() -> None:
    def grad(a: Array) -> Array:
        g = np.cos(a) * 3
        return np.asarray(g / np.linalg.norm(g))

    report = check_gradients(lambda a: 3 * float(np.sum(np.sin(a))), grad, A)
    assert causes(report) == ["scale"]
    assert "the norm of the gradient is 1: it is clipped" in report.findings[0].message


def test_a_force_is_reported_as_such() -> None:
    report = check_gradients(lambda a: float(np.sum(np.sin(a))), lambda a: -np.cos(a), A)
    assert causes(report) == ["sign"]
    assert "a force for a gradient" in report.findings[0].message


# Zeros, symmetric matrices, what is unused


def test_zeros_down_to_rounding_are_zeros() -> None:
    report = check_gradients(lambda a: float(np.sum(np.sin(a))), lambda a: 1e-17 * a, A)
    assert causes(report) == ["zero"]


def test_the_gradient_of_an_identity_is_not_the_penalty_alone() -> None:
    report = check_gradients(lambda a: float(np.sum(np.sinh(a))), lambda a: a.copy(), A)
    assert "zero" not in causes(report)


def log_determinant(a: Array) -> float:
    factor = np.linalg.cholesky(a)
    return float(2 * np.log(np.diag(factor)).sum())


S = W @ W.T + 4 * np.eye(4)


@pytest.mark.parametrize("fold", [np.tril, np.triu])
def test_a_gradient_folded_to_a_triangle_is_no_mask(fold: Callable[[Array], Array]) -> None:
    def grad(a: Array) -> Array:
        g = np.linalg.inv(a).T
        return fold(g + g.T - np.diag(np.diag(g)))

    report = check_gradients(lambda a: float(np.linalg.slogdet(a)[1]), grad, S)
    assert causes(report) == ["symmetrized"]


def test_a_gradient_that_a_factorization_folds_is_reported() -> None:
    report = check_gradients(log_determinant, np.linalg.inv, S)
    assert causes(report) == ["symmetrized"]


def test_one_of_two_uses_of_a_matrix_is_reported() -> None:
    report = check_gradients(
        lambda w: float(np.sum((w @ w.T) * S)) / 2, lambda w: S @ w / 2, np.eye(4) + 0 * W
    )
    assert causes(report)[:1] in (["scale"], ["symmetrized"])


def test_what_the_cost_leaves_out_is_unused() -> None:
    report = check_gradients(
        lambda p: float(p["b"] @ p["b"]),
        lambda p: {"w": np.array([0.3, 0.1, 0.5, 0.2, 0.7]), "b": 2 * p["b"]},
        {"w": np.arange(1.0, 6), "b": np.array([1.0, 2.0])},
    )
    assert [(f.code, f.parameter) for f in report.findings] == [("unused", "w")]


# Uses that are counted once


def test_a_row_that_an_index_repeats_is_reported() -> None:
    rows = np.array([3, 1, 3, 5, 0])

    def grad(p: Params, rows: Any) -> Params:
        g = np.zeros_like(p["E"])
        g[rows] += np.cos(p["E"][rows])
        return {"E": g}

    report = check_gradients(
        lambda p, rows: float(np.sum(np.sin(p["E"][rows]))), grad, {"E": X}, data={"rows": rows}
    )
    assert causes(report) == ["accumulated"]
    assert "that rows repeats (3)" in report.findings[0].message


def test_windows_that_overlap_are_reported() -> None:
    kernel = RNG.normal(size=3)

    def forward(x: Array) -> tuple[Array, Array]:
        return np.stack([x[:, i : i + 3] @ kernel for i in range(6)], axis=1), x

    def backward(dout: Array, x: Array) -> Array:
        dx = np.zeros_like(x)
        for i in range(6):
            dx[:, i : i + 3] = dout[:, i, None] * kernel
        return dx

    report = check_gradients.layer(forward, backward, RNG.normal(size=(4, 8)))
    assert causes(report)[0] == "accumulated"
    assert "= for += where windows overlap" in report.findings[0].message


STEPS = RNG.normal(size=(5, 1, 4))


@pytest.mark.parametrize(
    ("kept", "code"), [("last", "accumulated"), ("all but the first", "partial")]
)
def test_one_step_of_a_sum_over_steps_is_reported(kept: str, code: str) -> None:
    def grad(p: Params, xs: Array) -> Params:
        products = [x.T @ np.cos(x @ p["W"]) for x in xs]
        return {"W": products[-1] if kept == "last" else np.sum(products[1:], axis=0)}

    report = check_gradients(
        lambda p, xs: float(np.sum(np.sin(xs @ p["W"]))), grad, {"W": W}, data={"xs": STEPS}
    )
    assert causes(report) == [code]


def test_gates_that_are_exchanged_are_reported() -> None:
    def grad(w: Array) -> Array:
        g = np.cos(w)
        return np.concatenate([g[:3], g[6:9], g[3:6], g[9:]])

    report = check_gradients(
        lambda w: float(np.sum(np.sin(w))), grad, np.random.default_rng(1).normal(size=(12, 5))
    )
    assert causes(report) == ["shifted"]
    assert "with blocks 1 and 2 of 4 of axis 0 exchanged: gates" in report.findings[0].message


def test_two_components_are_enough_to_be_swapped() -> None:
    p = {"a": np.array([0.3, 1.1]), "b": np.array([-0.7, 0.2])}
    report = check_gradients(
        lambda p: float(np.sum(np.sin(p["a"])) + np.sum(np.exp(p["b"]))),
        lambda p: {"a": np.exp(p["b"]), "b": np.cos(p["a"])},
        p,
    )
    assert causes(report) == ["swapped", "swapped"]


# An error on its way down


def two_layers(leaves: Any, wrong: bool) -> tuple[float, list[Array]]:
    W1, b1, W2, b2 = leaves
    H = np.tanh(X @ W1 + b1)
    r = np.sin(H @ W2 + b2)
    dZ = np.cos(H @ W2 + b2)
    dH = dZ @ W2.T
    dA = dH if wrong else dH * (1 - H**2)
    return float(r.sum()), [X.T @ dA, dA.sum(axis=0), H.T @ dZ, dZ.sum(axis=0)]


LEAVES = (W, RNG.normal(size=4), RNG.normal(size=(4, 2)), RNG.normal(size=2))
ORDERS: dict[str, tuple[Callable[..., Any], Callable[..., tuple[Any, ...]]]] = {
    "a tuple, weights first": (lambda a, b, c, d: (a, c, b, d), lambda p: (p[0], p[2], p[1], p[3])),
    "lists as scikit-learn has them": (
        lambda a, b, c, d: {"coefs": [a, c], "intercepts": [b, d]},
        lambda p: (p["coefs"][0], p["intercepts"][0], p["coefs"][1], p["intercepts"][1]),
    ),
    "a list of layers": (
        lambda a, b, c, d: [{"W": a, "b": b}, {"W": c, "b": d}],
        lambda p: (p[0]["W"], p[0]["b"], p[1]["W"], p[1]["b"]),
    ),
    "names without numbers": (
        lambda a, b, c, d: {"Wx": a, "Wy": c, "bx": b, "by": d},
        lambda p: (p["Wx"], p["bx"], p["Wy"], p["by"]),
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_layer_at_which_an_error_enters_is_reported_in_any_order(order: str) -> None:
    pack, unpack = ORDERS[order]
    report = check_gradients(
        lambda p: two_layers(unpack(p), wrong=False)[0],
        lambda p: pack(*two_layers(unpack(p), wrong=True)[1]),
        pack(*LEAVES),
    )
    assert causes(report) == ["upstream"]


# Faults of our own, and names of others


def test_a_rule_that_raises_is_a_note_and_takes_nothing_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @rule("broken", "it raises")
    def broken(part: Any, evidence: Any) -> Any:
        raise np.linalg.LinAlgError("singular\nmatrix")
        yield

    heard: list[Exception] = []
    monkeypatch.setattr(Guard, "on_fault", staticmethod(heard.append))
    monkeypatch.setattr("pytest_gradcheck.diagnosis.engine.RULES", (broken, *RULES))
    report = check_gradients(lambda a: float(a @ a), lambda a: 4 * a, A)
    assert causes(report) == ["scale"]
    assert len(heard) == 1
    assert report.notes == (
        "the rule broken failed (LinAlgError: singular matrix); the verdict stands",
    )


def test_a_drawing_that_raises_leaves_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> str:
        raise IndexError("no such row")

    report = check_gradients(lambda a: float(a @ a), lambda a: 4 * a, A)
    monkeypatch.setattr("pytest_gradcheck.report.terminal.failure_text", broken)
    with pytest.raises(IndexError):
        str(report)  # in our own tests
    monkeypatch.setattr(Guard, "on_fault", staticmethod(lambda error: None))
    assert str(report).splitlines() == [
        "bug: 7 components are not ok",
        "drawing the report failed (IndexError: no such row); the verdict stands",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("W_{hh}", "W_{hh}"),
        ("{0!r:>{1}}", "{0!r:>{1}}"),
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("x\ud800", "x\\ud800"),
        ("a|b", "a|b"),
        ("<b>bold</b>", "<b>bold</b>"),
    ],
)
def test_any_string_may_be_a_name(name: str, said: str) -> None:
    wrong = {name: np.where(np.arange(7) == 3, 2.0, 1.0)}
    report = check_gradients(
        lambda p: float(np.sum(np.sin(p[name]))), lambda p: {name: wrong[name] * np.cos(p[name])},
        {name: A},
    )  # fmt: skip
    assert report.parameters[0].name == said
    assert report.components[0].name == f"{said}[3]"
    text = report.text(Style(72))
    assert said in text
    text.encode("utf-8")
    assert all(line.isprintable() for line in text.splitlines())


def test_what_leaves_most_components_right_is_no_gradient_of_another_point() -> None:
    """One number fitted two wrong components of six, and the four others do not move."""
    x = np.array([0.3, 0.9, 0.5, 1.3, 0.2, 0.7])
    moved = np.array([0.0, 0.1291, 0.0, 0.1291, 0.0, 0.0])
    report = check_gradients(lambda x: float(np.sum(x**3)), lambda x: 3 * (x + moved) ** 2, x)
    assert not report.passed
    assert "stale" not in {finding.code for finding in report.findings}


def test_a_gradient_of_equal_sizes_that_is_wrong_throughout_is_not_clipped() -> None:
    x = np.array([0.314159, 2.71828])
    report = check_gradients(lambda x: float(np.sum(x**3) + x[0] * x[1]), np.ones_like, x)
    assert not report.passed
    assert [f.code for f in report.findings if f.code != "line"] == []


@pytest.mark.parametrize("factor", [1.1, -0.97, 1.0417])
def test_a_factor_of_a_power_is_no_gradient_of_another_point(factor: float) -> None:
    """A cubic cost has such a multiple of its slopes at a multiple of theta."""
    x = np.concatenate([A, -A])
    report = check_gradients(
        lambda x: float(np.sum(np.abs(x) ** 3)),
        lambda x: factor * 3 * x * np.abs(x),
        x,
    )
    assert "stale" not in causes(report)


def test_a_constant_is_no_gradient_without_a_chain_rule() -> None:
    """The slopes of a logarithm of a sum of exponentials are exponentials, whatever is wrong."""
    report = check_gradients(
        lambda x: float(np.log(np.sum(np.exp(x)))), lambda x: np.full(x.shape, 0.17), A - 0.7
    )
    assert "transformed" not in causes(report)


def test_one_component_beyond_the_error_bars_is_no_single_error() -> None:
    """Where others may be as wrong as that one, nobody knows that they are right."""
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=5)
        report = check_gradients(
            lambda x: float(np.float32(20 + np.sum(np.sin(x)))), lambda x: 1.001 * np.cos(x), x
        )
        assert "partial" not in causes(report)


@pytest.mark.parametrize("calls", [40, 80])
def test_the_wrong_components_that_a_search_finds_first_are_not_said_to_be_all(calls: int) -> None:
    x, named = np.linspace(0.1, 1.0, 20_000), []
    for seed in range(4):
        zeros = np.random.default_rng(seed).choice(20_000, 4000, replace=False)

        def grad(x: Array, zeros: npt.NDArray[np.intp] = zeros) -> Array:
            gradient = np.cos(x)
            gradient[zeros] = 0
            return gradient

        report = check_gradients(
            lambda x: float(np.sum(np.sin(x))),
            grad,
            x,
            mode="probe",
            search_calls=calls,
            locate=False,
        )
        named.append(len(report.components))
        assert causes(report) == ["unnamed"]
    assert 0 < max(named) < 100


def test_a_missing_penalty_whose_data_are_linear_is_no_cache() -> None:
    """The gradient does not move with theta then, and points almost the same way."""
    for seed in range(30):
        x, slope = np.random.default_rng(seed).normal(size=(2, 12))
        slope[3:] = 0
        report = check_gradients(
            lambda x, slope=slope: float(slope @ x + 0.0071 * np.sum(x**2)),
            lambda x, slope=slope: slope + 0.0013 * (np.arange(12) % 3),
            x,
        )
        assert "stale" not in causes(report)


def test_twice_a_strength_in_sight_is_missing_or_subtracted() -> None:
    """Nobody knows which where a gradient does not show what it has of its own."""
    X, x = RNG.normal(size=(10, 4)), RNG.normal(size=4)
    lambd = 0.37

    def cost(x: Array) -> float:
        return float(np.sum(np.sin(X @ x) + (X @ x) ** 4) / 10 + lambd / 20 * np.sum(x**2))

    def grad(x: Array) -> Array:
        z = X @ x
        return np.asarray(X.T @ (np.cos(z) + 4 * z**3) / 10 - lambd / 10 * x)

    assert "missing-regularization" not in causes(check_gradients(cost, grad, x))
