"""What a pattern of errors gives away, and what it does not."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

RNG = np.random.default_rng(8)
PARAMS: Params = {"W": RNG.normal(size=(3, 4)), "b": RNG.normal(size=5), "s": np.array([0.7])}


def cost(p: Params) -> float:
    return float(np.sum(p["W"] ** 2) + np.sum(np.exp(p["b"])) + np.sum(np.sin(p["s"])))


def grad(p: Params) -> Params:
    return {"W": 2 * p["W"], "b": np.exp(p["b"]), "s": np.cos(p["s"])}


def checked(**factors: Any) -> Report:
    """Check with the gradients of some parameters multiplied by something."""
    return check_gradients(
        cost, lambda p: {k: v * factors.get(k, 1.0) for k, v in grad(p).items()}, PARAMS
    )


def causes(report: Report) -> list[tuple[str, str | None, float | None]]:
    return [
        (f.code, f.parameter, None if f.factor is None else round(f.factor, 6))
        for f in report.findings
        if f.severity == "cause"
    ]


def test_a_right_gradient_has_no_findings() -> None:
    assert checked().findings == ()


@pytest.mark.parametrize("parameter", ["W", "b"])
@pytest.mark.parametrize("factor", [2.0, 0.5, 32.0, 1 / 20, -3.0, 1.001])
def test_a_constant_factor_is_reported(parameter: str, factor: float) -> None:
    report = checked(**{parameter: factor})
    assert causes(report) == [("scale", parameter, round(factor, 6))]
    assert report.findings[0].message.startswith(f"{parameter} is ")


def test_a_factor_is_reported_with_three_digits_or_as_a_fraction() -> None:
    assert "b is 4.000 x the numerical gradient: " in checked(b=4).findings[0].message
    assert "b is 1/365 x the numerical gradient: " in checked(b=1 / 365).findings[0].message
    assert "b is -1/12 x the numerical gradient: " in checked(b=-1 / 12).findings[0].message


@pytest.mark.parametrize("parameter", ["W", "b", "s"])
def test_a_wrong_sign_is_reported(parameter: str) -> None:
    assert causes(checked(**{parameter: -1})) == [("sign", parameter, -1.0)]


@pytest.mark.parametrize("parameter", ["W", "b", "s"])
def test_a_gradient_that_was_never_filled_is_reported(parameter: str) -> None:
    report = checked(**{parameter: 0})
    assert [cause[:2] for cause in causes(report)] == [("zero", parameter)]


def test_one_number_alone_is_not_taken_for_a_factor() -> None:
    report = checked(s=1.7)
    assert not report.passed
    assert causes(report) == []


def test_factors_at_random_have_no_cause() -> None:
    report = checked(b=np.array([1.3, 0.4, -2.0, 5.0, 0.9]))
    assert not report.passed
    assert causes(report) == []


def test_a_factor_that_misses_one_component_is_no_scale() -> None:
    codes = [code for code, _, _ in causes(checked(b=np.array([2.0, 2, 2, 2, 2.2])))]
    assert "scale" not in codes


def test_causes_stand_before_warnings() -> None:
    report = check_gradients(
        lambda p: float(np.sum(np.maximum(p["a"], 0)) + np.sum(p["b"] ** 2)),
        lambda p: {"a": 0.3 + 0 * p["a"], "b": 4 * p["b"], "c": 0 * p["c"]},
        {"a": np.zeros(1), "b": np.ones(2), "c": np.ones(2)},
    )
    assert [(f.severity, f.code, f.parameter) for f in report.findings] == [
        ("cause", "scale", "b"),
        ("warning", "kink", "a"),
        ("warning", "vacuous", "c"),
    ]


def test_a_kink_tells_both_slopes_and_what_the_gradient_is_to_them() -> None:
    def hinge(x: Array) -> float:
        return float(np.sum(np.where(x > 0, 3 * x, -2 * x)))

    valid = check_gradients(hinge, lambda x: np.array([1.25]), np.zeros(1)).findings
    assert [f.code for f in valid] == ["kink"]
    assert "slope -2 on the left and 3 on the right" in valid[0].message
    assert "the gradient 1.25 lies between them" in valid[0].message
    invalid = check_gradients(hinge, lambda x: np.array([-4.0]), np.zeros(1)).findings
    assert "the gradient -4 lies outside them" in next(
        f.message for f in invalid if f.code == "kink"
    )


def test_several_kinks_of_a_parameter_are_one_finding() -> None:
    report = check_gradients(
        lambda x: float(np.maximum(x, 0).sum()), lambda x: 0.0 * x, np.zeros(7)
    )
    (found,) = report.findings
    assert "7 kinks in theta" in found.message


def test_a_parameter_of_which_nothing_was_tested_is_reported() -> None:
    report = check_gradients(
        lambda p: float(p["a"] @ p["a"]),
        lambda p: {"a": 2 * p["a"], "b": np.zeros((2, 2))},
        {"a": np.ones(2), "b": np.ones((2, 2))},
    )
    assert [(f.code, f.parameter) for f in report.findings] == [("vacuous", "b")]
    assert "nothing was tested" in report.findings[0].message


def shaky(level: float) -> Report:
    """Check a cost with a parameter whose slope drowns in noise, beside a healthy one."""

    def jitter(p: Params) -> float:
        return level * (zlib.crc32(p["a"].tobytes() + p["b"].tobytes()) / 2**31 - 1)

    return check_gradients(
        lambda p: float(np.exp(p["b"]).sum() + 1e-3 * level * p["a"].sum()) + jitter(p),
        lambda p: {"a": np.full(2, 1e-3 * level), "b": np.exp(p["b"])},
        {"a": np.ones(2), "b": np.ones(2)},
    )


@pytest.mark.parametrize(
    ("level", "reason"), [(1e-4, "the cost is noisy"), (1e-6, "the cost computes in float32")]
)
def test_what_noise_leaves_open_is_reported_with_its_reason(level: float, reason: str) -> None:
    (found,) = (f for f in shaky(level).findings if f.parameter == "a")
    assert (found.code, found.severity) == ("precision", "warning")
    assert found.message.startswith("a: 2 of 2 components cannot be decided: ")
    assert reason in found.message


@pytest.mark.parametrize("size", [1e10, 5e9])  # where float64 itself has fewer than 7 decimals
@pytest.mark.parametrize("seed", range(4))
def test_a_cost_far_larger_than_its_slope_is_reported(size: float, seed: int) -> None:
    def cost(x: Array) -> float:
        return float(np.sum(1e-4 * np.sin(x))) + size

    report = check_gradients(cost, lambda x: 1e-4 * np.cos(x), np.ones(2), seed=seed)
    (found,) = report.findings
    assert found.code == "precision"
    assert "so large beside its slope" in found.message


def test_a_jump_is_reported() -> None:
    report = check_gradients(
        lambda x: float(np.sign(x[0] - 1) + np.sin(x).sum()), np.cos, np.array([1.0, 2.0])
    )
    (found,) = report.findings
    assert (found.code, found.severity) == ("precision", "warning")
    assert "the cost jumps here" in found.message


def test_findings_carry_the_name_of_their_point() -> None:
    report = check_gradients(
        lambda x: float(x @ x), lambda x: -2 * x, lambda rng: rng.normal(size=3), seeds=2
    )
    assert [f.point for f in report.findings] == ["random initialization 1"]  # told once
    assert [f.point for p in report.points for f in p.findings] == [
        "random initialization 1",
        "random initialization 2",
    ]


@pytest.mark.parametrize("size", [5, 7, 40])
@pytest.mark.parametrize("others", [0.0, 2.0])
def test_a_parameter_the_cost_forgets_is_reported_and_takes_no_diagnosis_down(
    size: int, others: float
) -> None:
    forgotten = np.random.default_rng(size).normal(size=size)
    report = check_gradients(
        lambda p: float(p["b"] @ p["b"]),
        lambda p: {"w": forgotten, "b": others * p["b"]},
        {"w": np.arange(1.0, size + 1), "b": np.array([1.0, 2.0])},
    )
    by_name = {p.name: p.verdict for p in report.parameters}
    assert by_name == {"w": "bug", "b": "ok" if others == 2 else "bug"}


@pytest.mark.parametrize("where", ["a mask of dead units", "a saturated clip", "a batch of one"])
def test_a_numerical_gradient_of_zero_takes_no_diagnosis_down(where: str) -> None:
    costs = {
        "a mask of dead units": lambda w: float(np.sum(np.maximum(w - 9, 0)) + 1),
        "a saturated clip": lambda w: float(np.sum(np.clip(9 * w, -1, 1)) + 9),
        "a batch of one": lambda w: float(np.sum(((w - w) / 1e-5) ** 2) + 1),
    }
    report = check_gradients(
        lambda p: costs[where](p["w"]) + float(p["b"] @ p["b"]),
        lambda p: {"w": np.sin(p["w"]), "b": 2 * p["b"]},
        {"w": np.arange(1.0, 7.0), "b": np.array([1.0, 2.0])},
    )
    assert report.verdict == "bug"


@pytest.mark.parametrize(("count", "is_told"), [(2, True), (24, True), (25, False)])
def test_all_rules_are_tried_on_the_first_24_wrong_parameters(count: int, is_told: bool) -> None:
    """On the others those that told something of these: here, a factor, and no transposition."""
    rng = np.random.default_rng(4)
    params = {f"w{k}": rng.normal(size=(4, 4)) for k in range(count)}
    last = f"w{count - 1}"

    def grad(p: Params) -> Params:
        return {k: np.cos(v).T if k == last else 2 * np.cos(v) for k, v in p.items()}

    report = check_gradients(
        lambda p: float(sum(np.sin(v).sum() for v in p.values())), grad, params, locate=False
    )
    told = {(f.code, f.parameter) for f in report.findings if f.severity == "cause"}
    assert ("transposed", last) in told if is_told else ("transposed", last) not in told
    assert "scale" in {code for code, _ in told}
