"""Jacobians and Hessians: entries, names, verdicts, and what is refused."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from pytest_gradcheck import (
    GradcheckWarning,
    GradientError,
    Problem,
    ProblemError,
    check_gradients,
    gradcheck,
)
from pytest_gradcheck.context import Context, use_context

Array = npt.NDArray[np.float64]

RNG = np.random.default_rng(7)
A = RNG.normal(size=(4, 6))
X = RNG.normal(size=6)


def fun(x: Array) -> Array:
    return np.asarray(np.sin(A @ x))


def jac(x: Array) -> Array:
    return np.asarray(np.cos(A @ x)[:, None] * A)


def changed(matrix: Array, *index: int, by: float = 1.01) -> Array:
    wrong: Array = matrix.copy()
    wrong[index] = by * matrix[index]
    return wrong


def test_a_right_jacobian_passes_in_two_calls_a_component_and_a_few() -> None:
    report = gradcheck.jacobian(fun, jac, X)
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 24
    assert report.evaluations <= 2 * 6 + 40


def test_the_calls_do_not_grow_with_the_outputs() -> None:
    many = RNG.normal(size=(500, 6))
    report = gradcheck.jacobian(
        lambda x: np.tanh(many @ x), lambda x: many / np.cosh(many @ x)[:, None] ** 2, X
    )
    assert report.parameters[0].checked == 3000
    assert report.evaluations <= 2 * 6 + 40


def test_one_wrong_entry_is_named_as_it_stands_in_the_matrix() -> None:
    with pytest.raises(GradientError) as caught:
        gradcheck.jacobian(fun, lambda x: changed(jac(x), 3, 2), X)
    (component,) = caught.value.report.components
    assert component.name == "jac[3, 2]"
    assert (component.parameter, component.index) == ("theta", (2,))
    assert (component.output, component.entry) == ("out[3]", (3, 2))
    assert component.verdict == "bug"


def test_outputs_have_rows_of_their_own() -> None:
    report = check_gradients.jacobian(fun, lambda x: changed(jac(x), 1, 0), X)
    outputs = report.points[0].outputs
    assert [row.name for row in outputs] == ["out[0]", "out[1]", "out[2]", "out[3]"]
    assert [row.verdict for row in outputs] == ["ok", "bug", "ok", "ok"]


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_a_sign_in_a_row_that_is_smaller_by_a_billion_is_found(size: float) -> None:
    sizes = np.array([size, 1.0, 1e9 * size, 1e3])

    def wrong(x: Array) -> Array:
        matrix = sizes[:, None] * jac(x)
        matrix[0, 4] *= -1
        return matrix

    assert check_gradients.jacobian(
        lambda x: sizes * fun(x), lambda x: sizes[:, None] * jac(x), X
    ).passed
    report = check_gradients.jacobian(lambda x: sizes * fun(x), wrong, X)
    assert [component.name for component in report.components] == ["jac[0, 4]"]


def test_a_matrix_of_every_scale_of_outputs_passes() -> None:
    sizes = 10.0 ** np.arange(-18, 19, 9)[:4]
    report = check_gradients.jacobian(
        lambda x: sizes * fun(x), lambda x: sizes[:, None] * jac(x), X
    )
    assert report.verdict == "ok"


def tree_fun(p: dict[str, Any]) -> Array:
    return np.asarray(np.tanh(p["W"] @ np.array([1.0, 2.0]) + p["b"]))


def tree_jac(p: dict[str, Any]) -> dict[str, Array]:
    slope = 1 - tree_fun(p) ** 2
    W = np.zeros((3, 3, 2))
    W[np.arange(3), np.arange(3)] = slope[:, None] * np.array([1.0, 2.0])
    return {"W": W, "b": slope}


TREE: dict[str, Any] = {"W": RNG.normal(size=(3, 2)), "b": 0.5}


def test_a_structure_like_params_has_entries_by_the_names_of_params() -> None:
    assert gradcheck.jacobian(tree_fun, tree_jac, TREE).verdict == "ok"

    def wrong(p: dict[str, Any]) -> dict[str, Array]:
        answer = tree_jac(p)
        answer["W"][2, 2, 1] *= 1.5
        return answer

    report = check_gradients.jacobian(tree_fun, wrong, TREE)
    (component,) = report.components
    assert component.name == "jac.W[2, 2, 1]"
    assert (component.parameter, component.index) == ("W", (2, 1))
    assert component.output == "out[2]"


def test_a_matrix_over_flattened_params_is_taken() -> None:
    def flat(p: dict[str, Any]) -> Array:
        answer = tree_jac(p)
        return np.column_stack([answer["W"].reshape(3, 6), answer["b"]])

    assert gradcheck.jacobian(tree_fun, flat, TREE).verdict == "ok"
    report = check_gradients.jacobian(tree_fun, lambda p: changed(flat(p), 2, 6), TREE)
    assert report.components[0].name == "jac[2, 6]"
    assert report.components[0].parameter == "b"


def test_outputs_may_be_nested() -> None:
    def nested(x: Array) -> dict[str, Any]:
        return {"r": fun(x), "s": [x[:2] ** 2, float(x.sum())]}

    def answer(x: Array) -> dict[str, Any]:
        squares = np.zeros((2, 6))
        squares[[0, 1], [0, 1]] = 2 * x[:2]
        return {"r": jac(x), "s": [squares, np.ones(6)]}

    assert gradcheck.jacobian(nested, answer, X).verdict == "ok"

    def wrong(x: Array) -> dict[str, Any]:
        result = answer(x)
        result["s"][0][1, 1] = 0.0
        return result

    report = check_gradients.jacobian(nested, wrong, X)
    assert report.components[0].name == "jac.s[0][1, 1]"
    assert report.components[0].output == "out.s[0][1]"


def test_outputs_of_two_axes_have_an_index_of_two() -> None:
    def table(x: Array) -> Array:
        return np.outer(x[:2], x)

    def answer(x: Array) -> Array:
        result = np.zeros((2, 6, 6))
        for i in range(2):
            for j in range(6):
                result[i, j, i] += x[j]
                result[i, j, j] += x[i]
        return result

    assert gradcheck.jacobian(table, answer, X).verdict == "ok"
    report = check_gradients.jacobian(table, lambda x: changed(answer(x), 1, 4, 1), X)
    assert report.components[0].name == "jac[1, 4, 1]"
    assert report.components[0].output == "out[1, 4]"
    flat = check_gradients.jacobian(table, lambda x: answer(x).reshape(12, 6), X)
    assert flat.verdict == "ok"


def test_one_function_may_return_both() -> None:
    assert gradcheck.jacobian(lambda x: (fun(x), jac(x)), True, X).verdict == "ok"


def test_further_arguments_come_by_position_or_by_name() -> None:
    def scaled(x: Array, scale: float) -> Array:
        return scale * fun(x)

    def scaled_jac(x: Array, scale: float) -> Array:
        return scale * jac(x)

    assert gradcheck.jacobian(scaled, scaled_jac, X, 3.0).verdict == "ok"
    assert gradcheck.jacobian(scaled, scaled_jac, X, data={"scale": 3.0}).verdict == "ok"


def test_a_list_of_numbers_is_one_output_array() -> None:
    report = gradcheck.jacobian(
        lambda x: [x[0] * x[1], x[0]], lambda x: [[x[1], x[0]], [1, 0]], X[:2]
    )
    assert report.points[0].outputs[1].name == "out[1]"


def test_sparse_matrices_and_operators_are_taken() -> None:
    mask = np.abs(A) > 0.5

    def thin(x: Array) -> Array:
        return np.asarray(np.sin((A * mask) @ x))

    def thin_jac(x: Array) -> Array:
        return np.asarray(np.cos((A * mask) @ x)[:, None] * (A * mask))

    for form in (sparse.csr_matrix, sparse.coo_array, sparse.csc_array, aslinearoperator):
        assert gradcheck.jacobian(thin, lambda x, form=form: form(thin_jac(x)), X).verdict == "ok"


def test_an_entry_that_a_sparse_matrix_does_not_store_is_a_zero_and_compared() -> None:
    def thin(x: Array) -> Any:
        matrix = jac(x)
        matrix[2, 3] = 0.0
        return sparse.csr_array(matrix)

    report = check_gradients.jacobian(fun, thin, X)
    assert [component.name for component in report.components] == ["jac[2, 3]"]
    assert report.components[0].analytic == 0.0


def test_a_zero_that_is_one_passes() -> None:
    mask = np.tri(4, 6)
    report = gradcheck.jacobian(
        lambda x: (A * mask) @ x, lambda x: A * mask, X, strict=True, seed=3
    )
    assert report.verdict == "ok"


def test_a_kink_with_a_valid_slope_is_a_kink_and_another_slope_a_bug() -> None:
    def relu(x: Array) -> Array:
        return np.maximum(x, 0.0)

    at = np.array([1.0, 0.0, -1.0])
    report = check_gradients.jacobian(relu, lambda x: np.diag((x > 0).astype(float)), at)
    assert report.passed
    assert [(c.name, c.verdict) for c in report.components] == [("jac[1, 1]", "kink")]
    report = check_gradients.jacobian(relu, lambda x: np.diag((x > 0) + 2.0 * (x == 0)), at)
    assert [(c.name, c.verdict) for c in report.components] == [("jac[1, 1]", "bug")]


def test_a_domain_with_an_edge_is_differenced_on_one_side() -> None:
    def guarded(x: Array) -> Array:
        if np.any(x < 0):
            raise RuntimeError("negative rate")
        return np.array([np.sqrt(x[1]), x[0] * x[1]])

    def answer(x: Array) -> Array:
        return np.array([[0.0, 0.5 / np.sqrt(x[1])], [x[1], x[0]]])

    assert check_gradients.jacobian(guarded, answer, np.array([0.0, 2.0])).passed


def test_a_hessian_is_a_jacobian_of_the_gradient() -> None:
    def grad(x: Array) -> Array:
        return np.asarray(4 * x**3 + x.sum())

    def hess(x: Array) -> Array:
        return np.diag(12 * x**2) + 1.0

    assert gradcheck.hessian(grad, hess, X).verdict == "ok"
    report = check_gradients.hessian(grad, lambda x: changed(hess(x), 2, 2), X)
    assert report.components[0].name == "hess[2, 2]"
    assert report.components[0].output == "grad[2]"


def test_a_problem_may_be_returned_or_handed_over() -> None:
    problem = Problem.jacobian(fun, jac, X, seed=3)
    assert problem.form == "jacobian"
    assert Problem.hessian(fun, jac, X).form == "hessian"


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (lambda x: jac(x).T, "shape-mismatch", "it is transposed"),
        (lambda x: jac(x)[:, :5], "shape-mismatch", "make (4, 6)"),
        (lambda x: jac(x).reshape(-1), "shape-mismatch", "a reshape is missing"),
        (lambda x: None, "missing-gradient", "returned None"),
        (lambda x: object(), "nonnumeric-gradient", "no matvec"),
        (lambda x: sparse.csr_array(jac(x).T), "shape-mismatch", "it is transposed"),
        (lambda x: np.full((4, 6), "a"), "nonnumeric-gradient", ""),
    ],
)
def test_what_is_no_jacobian_is_refused_by_name(answer: Any, code: str, said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        gradcheck.jacobian(fun, answer, X)
    assert caught.value.code == code
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda x: fun(x) + 1j, "complex-cost"),
        (lambda x: None, "nonnumeric-output"),
        (lambda x: np.full(4, np.nan), "nonfinite-cost"),
        (lambda x: fun(x) + np.random.default_rng().random(), "nondeterministic-cost"),
    ],
)
def test_what_is_no_function_of_outputs_is_refused_by_name(function: Any, code: str) -> None:
    with pytest.raises(ProblemError) as caught:
        gradcheck.jacobian(function, jac, X)
    assert caught.value.code == code


def test_a_function_that_changes_its_argument_is_reported() -> None:
    def changing(x: Array) -> Array:
        x *= 1.001
        return fun(x)

    with pytest.raises(ProblemError, match="mutated-params"):
        gradcheck.jacobian(changing, jac, X.copy())


def test_the_classical_check_takes_its_step() -> None:
    report = gradcheck.jacobian(fun, jac, X, eps=1e-6)
    assert report.passed
    assert report.evaluations == 2 * 6 + 2


def test_parameters_may_be_left_out() -> None:
    report = gradcheck.jacobian(tree_fun, lambda p: {"W": tree_jac(p)["W"]}, TREE, exclude="b")
    assert [parameter.name for parameter in report.parameters] == ["W"]
    flat = gradcheck.jacobian(tree_fun, lambda p: tree_jac(p)["W"].reshape(3, 6), TREE, only=["W"])
    assert flat.verdict == "ok"


def test_arrays_in_place_are_put_back() -> None:
    weights = {"W": X.copy()}
    report = gradcheck.jacobian(
        lambda: fun(weights["W"]), lambda: jac(weights["W"]), weights, inplace=True
    )
    assert report.verdict == "ok"
    assert np.array_equal(weights["W"], X)


def test_random_initializations_are_drawn() -> None:
    report = gradcheck.jacobian(fun, jac, lambda rng: rng.normal(size=6), seeds=3)
    assert len(report.points) == 3


@pytest.mark.parametrize("settings", [{"train": 3}, {"workers": 2}, {"batched": True}])
def test_settings_that_make_no_sense_of_a_matrix_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as caught:
        gradcheck.jacobian(fun, jac, X, **settings)
    assert caught.value.code == "bad-setting"
    assert next(iter(settings)) in str(caught.value)


def grad(x: Array) -> Array:
    return np.asarray(4 * x**3 + x.sum())


def hess(x: Array) -> Array:
    return np.asarray(np.diag(12 * x**2) + 1.0)


def test_a_hessian_that_is_not_symmetric_names_the_pair() -> None:
    report = check_gradients.hessian(grad, lambda x: changed(hess(x), 1, 4, by=3.0), X)
    (finding,) = [f for f in report.findings if f.code == "asymmetric"]
    assert "hess[1, 4] is 3" in finding.message
    assert "hess[4, 1] is 1" in finding.message
    assert [component.name for component in report.components] == ["hess[1, 4]"]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([(1, 4)], "hess[4, 1] is 1, where a"),
        ([(1, 4), (0, 2)], "hess[4, 1] is 1, as is 1 more pair, where a"),
        ([(1, 4), (0, 2), (3, 5)], "hess[4, 1] is 1, as are 2 more pairs, where a"),
    ],
)
def test_further_pairs_of_a_hessian_that_are_not_symmetric_are_counted(
    pairs: list[tuple[int, int]], said: str
) -> None:
    def wrong(x: Array) -> Array:
        matrix = hess(x)
        for k, place in enumerate(pairs):
            matrix[place] = 3.0 - 0.5 * k
        return matrix

    report = check_gradients.hessian(grad, wrong, X)
    (finding,) = [f for f in report.findings if f.code == "asymmetric"]
    assert said in finding.message


def test_an_entry_that_was_changed_alone_is_the_answer_of_the_report() -> None:
    report = check_gradients.hessian(grad, lambda x: changed(hess(x), 4, 1, by=3.0), X)
    (finding,) = report.findings
    assert (finding.code, finding.parameters) == ("asymmetric", ("theta",))
    assert "hess[4, 1] was forgotten or changed alone" in finding.message
    assert str(report).startswith("hess[1, 4] is 1 and hess[4, 1] is 3")


def test_asymmetry_is_no_answer_where_both_entries_are_wrong() -> None:
    report = check_gradients.hessian(
        grad, lambda x: changed(changed(hess(x), 4, 1, by=3.0), 1, 4, by=7.0), X
    )
    assert [f.parameters for f in report.findings if f.code == "asymmetric"] == [()]
    assert str(report).startswith("bug at hess[1, 4]: 7.000 x")


def test_a_gradient_of_no_cost_has_a_hessian_that_agrees_and_is_not_symmetric() -> None:
    turn = np.array([[1.0, 2.0], [-2.0, 1.0]])
    report = check_gradients.hessian(lambda x: turn @ x, lambda x: turn, X[:2])
    assert not report.passed
    assert [f.code for f in report.findings] == ["asymmetric"]
    assert "grad itself is no gradient of a cost" in report.findings[0].message
    assert {component.name for component in report.components} == {"hess[0, 1]", "hess[1, 0]"}


def test_the_lower_triangle_of_a_hessian_may_be_all_there_is() -> None:
    assert gradcheck.hessian(grad, lambda x: np.tril(hess(x)), X, lower=True).verdict == "ok"
    assert not check_gradients.hessian(grad, lambda x: np.tril(hess(x)), X).passed
    report = check_gradients.hessian(grad, lambda x: np.tril(hess(x)) * 2, X, lower=True)
    assert {component.name for component in report.components} == {
        f"hess[{i}, {j}]" for i in range(6) for j in range(i + 1)
    }
    assert sum(parameter.checked for parameter in report.parameters) == 21


@pytest.mark.parametrize("unit", [1.0, 1e-12])
def test_an_entry_of_a_triangle_is_undecided_in_any_unit_of_the_cost(unit: float) -> None:
    """What the other triangle holds is no measure of it."""
    least = np.diag([1.0, 2.0, 1.5, 1.2])
    least[2, 0] = 1e-3  # below what the noise of float32 leaves of a slope

    def rounded(x: Array) -> Array:
        return np.asarray(unit * np.float32(1e4 + np.diag(least) * x).astype(np.float64))

    at = np.array([0.7, -0.4, 0.9, 0.3])
    report = check_gradients.hessian(rounded, lambda x: unit * least, at, lower=True)
    undecided = {c.name for c in report.components if c.verdict == "inconclusive"}
    assert undecided == {"hess[2, 0]", *(f"hess[{i}, {i}]" for i in range(4))}


def test_the_hessian_of_a_structure_is_a_structure_of_structures() -> None:
    def tree_grad(p: dict[str, Any]) -> dict[str, Any]:
        return {"a": 2 * p["a"] * p["b"], "b": float(p["a"] @ p["a"])}

    def tree_hess(p: dict[str, Any]) -> dict[str, Any]:
        a, b = p["a"], p["b"]
        return {"a": {"a": 2 * b * np.eye(2), "b": 2 * a}, "b": {"a": 2 * a, "b": 0.0}}

    at = {"a": np.array([1.0, -2.0]), "b": 0.7}
    assert gradcheck.hessian(tree_grad, tree_hess, at).verdict == "ok"

    def wrong(p: dict[str, Any]) -> dict[str, Any]:
        answer = tree_hess(p)
        answer["b"]["a"] = 3 * p["a"]
        return answer

    report = check_gradients.hessian(tree_grad, wrong, at)
    assert {c.name for c in report.components} == {"hess.b.a[0]", "hess.b.a[1]"}
    assert {c.output for c in report.components} == {"grad.b"}
    assert [f.code for f in report.findings] == ["scale", "asymmetric"]


def test_a_hessian_of_some_parameters_may_leave_the_others_out() -> None:
    def tree_grad(p: dict[str, Any]) -> dict[str, Any]:
        return {"a": 2 * p["a"] * p["b"]}

    def flat(p: dict[str, Any]) -> Array:
        return np.asarray(2 * p["b"] * np.eye(2))

    at = {"b": 0.7, "a": np.array([1.0, -2.0])}
    assert gradcheck.hessian(tree_grad, flat, at, only="a").verdict == "ok"
    report = check_gradients.hessian(tree_grad, lambda p: changed(flat(p), 1, 1), at, exclude=["b"])
    assert [component.name for component in report.components] == ["hess[1, 1]"]


def push(x: Array, dx: Array) -> Array:
    return np.asarray(jac(x) @ dx)


def test_a_pushforward_of_one_input_is_checked() -> None:
    report = gradcheck.jvp(fun, push, X)
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 24

    def wrong(x: Array, dx: Array) -> Array:
        return np.asarray(changed(jac(x), 3, 2) @ dx)

    report = check_gradients.jvp(fun, wrong, X)
    (component,) = report.components
    assert component.name == "d out[3] / d x[2]"
    assert (component.parameter, component.index, component.output) == ("x", (2,), "out[3]")


def test_the_hessp_of_scipy_is_the_pushforward_of_the_gradient() -> None:
    assert gradcheck.jvp(grad, lambda x, p: hess(x) @ p, X).verdict == "ok"
    assert not check_gradients.jvp(grad, lambda x, p: -hess(x) @ p, X).passed


W = RNG.normal(size=(3, 6))


def matmul(x: Array, w: Array) -> Array:
    return np.asarray(w @ x)


@pytest.mark.parametrize(
    "rule",
    [
        lambda x, w, dx, dw: w @ dx + dw @ x,
        lambda primals, tangents: (
            primals[1] @ primals[0],
            primals[1] @ tangents[0] + tangents[1] @ primals[0],
        ),
        lambda p, t: (p[1] @ p[0], p[1] @ t[0] + t[1] @ p[0]),
    ],
)
def test_a_pushforward_of_several_inputs_takes_their_tangents_in_any_usual_way(rule: Any) -> None:
    report = gradcheck.jvp(matmul, rule, X, W)
    assert report.verdict == "ok"
    assert [parameter.name for parameter in report.parameters] == ["x", "w"]


def test_one_input_in_tuples_is_understood() -> None:
    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        return fun(x), push(x, dx)

    assert gradcheck.jvp(fun, rule, X).verdict == "ok"


def test_a_pushforward_that_is_not_linear_is_reported() -> None:
    report = check_gradients.jvp(fun, lambda x, dx: jac(x) @ np.abs(dx), X)
    assert not report.passed
    assert "nonlinear" in [finding.code for finding in report.findings]


def test_what_a_pushforward_makes_of_a_sum_is_said_beside_the_sum_of_what_it_makes() -> None:
    report = check_gradients.jvp(fun, lambda x, dx: jac(x) @ dx + 50.0, X)
    (finding,) = [finding for finding in report.findings if finding.code == "nonlinear"]
    told = re.search(r"it makes (\S+) for .*, where 2 Ju - 3 Jv is (\S+): ", finding.message)
    assert told is not None
    assert float(told[1]) - float(told[2]) == pytest.approx(50 - (2 - 3) * 50, abs=0.01)


@pytest.mark.parametrize(
    "pull",
    [
        lambda x, u: u @ jac(x),
        lambda x: (fun(x), lambda u: u @ jac(x)),
        lambda x: (fun(x), lambda u: (u @ jac(x),)),
    ],
)
def test_a_pullback_beside_a_pushforward_has_to_be_its_adjoint(pull: Any) -> None:
    assert gradcheck.jvp(fun, push, X, vjp=pull).verdict == "ok"


def test_a_pullback_that_is_not_the_adjoint_is_reported_with_the_entry() -> None:
    def pull(x: Array, u: Array) -> Array:
        return np.asarray(u @ changed(jac(x), 2, 5, by=1.5))

    with pytest.raises(GradientError) as caught:
        gradcheck.jvp(fun, push, X, vjp=pull)
    (finding,) = caught.value.report.findings
    assert finding.code == "adjoint"
    assert "out[2] by x[5]" in finding.message
    assert caught.value.report.verdict == "bug"


def test_a_pullback_that_is_wrong_in_any_entry_is_reported() -> None:
    """No component has a weight of 0 in the vectors that the two are compared with."""
    missed = []
    for entry in np.ndindex(4, 6):

        def pull(x: Array, u: Array, entry: tuple[int, ...] = entry) -> Array:
            return np.asarray(u @ changed(jac(x), *entry, by=1.5))

        report = check_gradients.jvp(fun, push, X, vjp=pull)
        if "adjoint" not in [finding.code for finding in report.findings]:
            missed.append(entry)
    assert not missed


def test_an_operator_whose_two_halves_disagree_is_reported() -> None:
    class Half:
        shape = (4, 6)

        def __init__(self, matrix: Array) -> None:
            self.matrix = matrix

        def matvec(self, v: Array) -> Array:
            return np.asarray(self.matrix @ v)

        def rmatvec(self, u: Array) -> Array:
            return np.asarray(-self.matrix.T @ u)

    report = check_gradients.jacobian(fun, lambda x: Half(jac(x)), X)
    assert [finding.code for finding in report.findings] == ["adjoint"]


def banded(x: Array) -> Array:
    y = -2 * x + x**3 / 10
    y[1:] += x[:-1]
    y[:-1] += x[1:] ** 2 / 2
    return y


def banded_jac(x: Array) -> Any:
    lower = np.ones(x.size - 1)
    return sparse.diags_array([lower, -2 + 0.3 * x**2, x[1:]], offsets=[-1, 0, 1], format="csr")


LONG = np.random.default_rng(3).normal(size=20_000)


def test_columns_of_a_sparse_matrix_are_differenced_together() -> None:
    report = gradcheck.jacobian(banded, banded_jac, LONG)
    assert report.verdict == "ok"
    assert report.evaluations <= 60
    (parameter,) = report.parameters
    assert parameter.checked == 3 * LONG.size - 2
    assert parameter.covered == LONG.size**2


def test_a_wrong_entry_of_a_large_sparse_matrix_is_named() -> None:
    def wrong(x: Array) -> Any:
        matrix = banded_jac(x)
        matrix[500, 499] = 1.01
        return matrix

    report = check_gradients.jacobian(banded, wrong, LONG)
    assert [component.name for component in report.components] == ["jac[500, 499]"]


def test_an_entry_that_a_large_sparse_matrix_lacks_is_found_among_its_zeros() -> None:
    def more(x: Array) -> Array:
        y = banded(x)
        y[123] += np.sin(x[17_777])
        return y

    report = check_gradients.jacobian(more, banded_jac, LONG)
    assert [component.name for component in report.components] == ["jac[123, 17777]"]
    assert report.components[0].analytic == 0.0
    assert report.evaluations <= 150


def lacking(row: int, column: int) -> tuple[Any, Any]:
    """Return a linear function, and its matrix without one entry."""
    matrix = sparse.diags_array(np.ones(256), format="csc")

    def linear(x: Array) -> Array:
        y = x.copy()
        y[row] += x[column]
        return np.asarray(y)

    return linear, lambda x: matrix


@pytest.mark.parametrize(("row", "column"), [(200, 17), (200, 150), (10, 200)])
def test_an_entry_that_is_lacking_costs_four_calls_for_each_halving(row: int, column: int) -> None:
    """Also where outputs are 0, so that their noise is no more than the rounding of the matrix."""
    linear, matrix = lacking(row, column)
    right = check_gradients.jacobian(lambda x: x.copy(), matrix, np.zeros(256))
    assert right.passed
    report = check_gradients.jacobian(linear, matrix, np.zeros(256))
    assert [component.name for component in report.components] == [f"jac[{row}, {column}]"]
    assert report.evaluations - right.evaluations <= 4 * 8 + 8


def test_a_search_among_zeros_that_may_take_no_calls_says_what_is_off() -> None:
    linear, matrix = lacking(200, 150)
    report = check_gradients.jacobian(linear, matrix, np.ones(256), search_calls=2)
    assert not report.passed
    (finding,) = report.findings
    assert finding.code == "unnamed"
    assert "out[200]" in finding.message
    assert "ended after 2 calls" in finding.message


def test_a_sparse_matrix_of_the_wrong_sign_is_wrong_in_every_stored_entry() -> None:
    report = check_gradients.jacobian(banded, lambda x: -banded_jac(x), LONG[:500])
    assert report.parameters[0].counts["bug"] == 3 * 500 - 2


def test_a_small_sparse_hessian_is_checked_for_symmetry() -> None:
    grad_ = lambda x: np.array([x[0] * x[1], x[0], x[2]])  # noqa: E731 - not symmetric
    answer = lambda x: sparse.csr_array([[x[1], x[0], 0], [1, 0, 0], [0, 0, 1]])  # noqa: E731
    report = check_gradients.hessian(grad_, answer, np.array([2.0, 3.0, 1.0]))
    assert [finding.code for finding in report.findings] == ["asymmetric"]


WIDE = np.random.default_rng(4).normal(size=(3, 20_000))
AT = np.random.default_rng(5).normal(size=20_000) / 100


def wide(x: Array) -> Array:
    return np.asarray(np.sin(WIDE @ x))


def wide_jac(x: Array) -> Array:
    return np.asarray(np.cos(WIDE @ x)[:, None] * WIDE)


def test_a_wide_matrix_is_seen_along_random_vectors() -> None:
    report = gradcheck.jacobian(wide, wide_jac, AT)
    assert report.verdict == "ok"
    assert report.evaluations <= 200
    assert report.parameters[0].covered == 60_000
    assert report.parameters[0].checked < 300


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_wrong_entries_of_a_wide_matrix_are_named(seed: int) -> None:
    def wrong(x: Array) -> Array:
        matrix = wide_jac(x)
        matrix[0, 101] += 1.0
        matrix[2, [15_000, 15_001]] -= 2.0
        return matrix

    report = check_gradients.jacobian(wide, wrong, AT, seed=seed)
    assert {component.name for component in report.components} == {
        "jac[0, 101]",
        "jac[2, 15000]",
        "jac[2, 15001]",
    }
    assert report.evaluations <= 500


def test_a_search_that_may_take_no_calls_says_what_is_off() -> None:
    def wrong(x: Array) -> Array:
        matrix = wide_jac(x)
        matrix[1, 7_777] += 1.0
        return matrix

    report = check_gradients.jacobian(wide, wrong, AT, mode="probe", search_calls=2)
    assert not report.passed
    (finding,) = report.findings
    assert finding.code == "unnamed"
    assert "out[1]" in finding.message


def test_samples_of_columns_are_checked_where_the_settings_ask_for_it() -> None:
    report = gradcheck.jacobian(wide, wide_jac, AT, mode="sample", samples=5)
    assert report.parameters[0].checked == report.parameters[0].covered == 15


def test_an_operator_of_many_columns_is_never_written_out() -> None:
    def operator(x: Array) -> Any:
        matrix = wide_jac(x)

        class Product:
            shape = matrix.shape

            def matvec(self, v: Array) -> Array:
                return np.asarray(matrix @ v)

        return Product()

    assert gradcheck.jacobian(wide, operator, AT).verdict == "ok"


def test_a_known_noise_is_taken_as_the_noise_of_each_output() -> None:
    def solved(x: Array) -> Array:
        return np.asarray(np.round(fun(x), 6))

    assert check_gradients.jacobian(solved, jac, X, noise=1e-6).passed
    turned = check_gradients.jacobian(solved, lambda x: -jac(x), X, noise=1e-6)
    assert turned.parameters[0].counts["bug"] > 12


@pytest.mark.parametrize("seed", range(6))
def test_outputs_in_float32_are_no_false_alarms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    many, at = rng.normal(size=(12, 5)), rng.normal(size=5)
    sizes = 10.0 ** rng.uniform(-6, 6, 12)

    def coarse(x: Array) -> Array:
        return np.asarray(sizes * np.sin((many @ x).astype(np.float32)).astype(np.float64))

    report = check_gradients.jacobian(
        coarse, lambda x: (sizes * np.cos(many @ x))[:, None] * many, at
    )
    assert report.passed


def test_a_large_sparse_hessian_is_checked_for_symmetry() -> None:
    def coupled(x: Array) -> Array:
        y = 4 * x**3
        y[1:] += x[:-1]
        y[:-1] += x[1:]
        return y

    def answer(x: Array, upper: float = 1.0) -> Any:
        ones = np.ones(x.size - 1)
        bands: Any = [ones, 12 * x**2, upper * ones]
        return sparse.diags_array(bands, offsets=[-1, 0, 1], format="csr")

    at = LONG[:300]
    assert gradcheck.hessian(coupled, answer, at).verdict == "ok"
    report = check_gradients.hessian(coupled, lambda x: answer(x, 1.5), at)
    assert "asymmetric" in [finding.code for finding in report.findings]


def test_a_parameter_that_moves_nothing_is_reported_and_fails_a_strict_check() -> None:
    def alone(p: dict[str, Array]) -> Array:
        return fun(p["x"])

    def answer(p: dict[str, Array]) -> dict[str, Array]:
        return {"x": jac(p["x"]), "unused": np.zeros((4, 2))}

    at = {"x": X, "unused": np.ones(2)}
    report = gradcheck.jacobian(alone, answer, at)
    assert [(f.code, f.parameter) for f in report.findings] == [("vacuous", "unused")]
    assert not check_gradients.jacobian(alone, answer, at, strict=True).passed


def test_entries_that_cannot_be_decided_are_reported_with_the_reason() -> None:
    def coarse(x: Array) -> Array:
        return np.asarray((1e4 + fun(x)).astype(np.float32).astype(np.float64))

    report = check_gradients.jacobian(coarse, jac, X)
    assert report.verdict == "inconclusive"
    (finding,) = report.findings
    assert finding.code == "precision"
    assert "float32" in finding.message
    for seed in range(40):  # in some directions an output does not move by one of its quanta
        report = check_gradients.jacobian(coarse, jac, X, seed=seed)
        assert report.verdict == "inconclusive"
        assert "precision" in [finding.code for finding in report.findings]


@pytest.mark.parametrize("coarse", [False, True])
def test_planted_faults_show_unless_the_matrix_cannot_be_decided(coarse: bool) -> None:
    def outputs(x: Array) -> Array:
        return np.asarray((1e4 + fun(x)).astype(np.float32), np.float64) if coarse else fun(x)

    with use_context(lambda: Context(canary=True)):
        report = check_gradients.jacobian(outputs, jac, X)
        thin = check_gradients.jacobian(banded, banded_jac, LONG[:400])
    assert ("canary" in [finding.code for finding in report.findings]) == coarse
    assert thin.passed


def sorted_jac(x: Array, sign: float = 1.0) -> Array:
    """Return the derivative of sorting, in which values that tie keep their order."""
    return sign * np.eye(x.size)[np.argsort(x, kind="stable")]


@pytest.mark.parametrize("at", [[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 1.0, 1.0, 2.0], [-1.0, -1.0]])
def test_values_that_tie_are_kinks_and_a_fault_there_is_still_found(at: list[float]) -> None:
    x = np.array(at)
    report = check_gradients.jacobian(np.sort, sorted_jac, x)
    assert report.verdict == "kink"
    assert not check_gradients.jacobian(np.sort, lambda x: sorted_jac(x, -1.0), x).passed
    assert not check_gradients.jacobian(np.sort, lambda x: 2 * sorted_jac(x), x).passed


def test_a_curvature_that_jumps_is_no_fault() -> None:
    def squares(x: Array) -> Array:
        return np.asarray(np.maximum(A @ x, 0.0) ** 2 + 1.0)

    def answer(x: Array) -> Array:
        return np.asarray(2 * np.maximum(A @ x, 0.0)[:, None] * A)

    assert check_gradients.jacobian(squares, answer, np.zeros(6)).passed
    turned = X - A[0] * (A[0] @ X) / (A[0] @ A[0])  # one of them stands at its turn
    assert check_gradients.jacobian(squares, answer, turned).passed


def test_a_stationary_point_proves_little_and_has_a_warning() -> None:
    def at_top(x: Array) -> Array:
        return np.asarray([np.cos(x[0]) + 5.0, 3.0 - x[1] ** 2 + 1e-20 * x[0]])

    report = check_gradients.jacobian(at_top, lambda x: np.full((2, 2), 1e-17), np.zeros(2))
    assert report.verdict == "ok"
    assert [finding.code for finding in report.findings] == ["stationary"]
    strict = check_gradients.jacobian(
        at_top, lambda x: np.full((2, 2), 1e-17), np.zeros(2), strict=True
    )
    assert not strict.passed


def test_suspect_entries_pass_where_only_bugs_fail() -> None:
    with pytest.warns(GradcheckWarning):
        report = gradcheck.jacobian(fun, lambda x: (1 + 5e-5) * jac(x), X, fail_on="bug")
    assert (report.passed, report.verdict) == (True, "suspect")


def test_an_object_without_matvec_is_refused_with_the_word() -> None:
    class Product:
        shape = (4, 6)

    with pytest.raises(ProblemError, match="matvec"):
        gradcheck.jacobian(fun, lambda x: Product(), X)


def test_a_tangent_of_another_shape_is_reported_for_the_pushforward() -> None:
    def short(x: Array, dx: Array) -> Array:
        return dx[:3]

    with pytest.raises(ProblemError, match="short returned 3 numbers"):
        gradcheck.jvp(fun, short, X)


@pytest.mark.parametrize("small", [1.0, 1e-3, 1e-6, 1e-9])
def test_what_directions_show_is_recognized_by_the_size_of_each_parameters_own_entries(
    small: float,
) -> None:
    rng = np.random.default_rng(5)  # its own: others draw before or after, in any order of tests
    params = {"w": rng.normal(size=6), "v": rng.normal(size=6)}

    def outputs(p: dict[str, Array]) -> Array:
        return np.asarray(np.sin(A @ p["w"]) + small * np.cos(A @ p["v"]))

    def matrices(p: dict[str, Array], factor: float = 1.0) -> dict[str, Array]:
        slopes = -small * np.sin(A @ p["v"])[:, None] * A
        place = np.unravel_index(np.argmax(np.abs(slopes)), slopes.shape)
        return {"w": jac(p["w"]), "v": changed(slopes, *map(int, place), by=factor)}

    report = check_gradients.jacobian(outputs, matrices, params, mode="probe", samples=1)
    resolution = report.parameters[1].resolution
    fault = 1 + 4 * resolution  # twice the resolution, which is beside the sum of both values
    again = check_gradients.jacobian(
        outputs, lambda p: matrices(p, fault), params, mode="probe", samples=1
    )
    assert report.passed
    assert resolution >= 0.5 or not again.passed


@pytest.mark.parametrize("size", [50.0, 100.0, 300.0])
def test_outputs_that_saturate_are_no_reason_to_refuse(size: float) -> None:
    """No output moves by a bit, and what is left of the matrix is beside rounding 0."""
    x = size * (1 + np.abs(X))

    def saturated(x: Array) -> Array:
        return np.asarray(np.tanh(x))

    def slopes(x: Array, factor: float = 1.0) -> Array:
        return factor * np.diag(4 * np.exp(-2 * x))

    for mode in ("full", "probe"):
        report = check_gradients.jacobian(saturated, slopes, x, mode=mode)

        assert report.passed
        assert "stationary" in {finding.code for finding in report.findings}

    def wrong(x: Array) -> Array:
        return slopes(0 * x, 1e-6)

    with pytest.raises(ProblemError, match="unreached-params"):
        check_gradients.jacobian(lambda x: saturated(0 * x + size), wrong, x)
    try:  # a direction may lead to where tanh moves
        found = check_gradients.jacobian(saturated, wrong, x).verdict
    except ProblemError as error:
        found = error.code
    assert found in ("unreached-params", "bug")


def test_squares_that_overflow_have_a_figure_and_entries_that_are_no_numbers_none() -> None:
    A = np.arange(1.0, 7.0).reshape(2, 3)
    half_off = check_gradients.jacobian(
        lambda x: 1e180 * (A @ x), lambda x: 3e180 * A, np.ones(3), locate=False
    )
    assert half_off.relative_error == pytest.approx(0.5)
    lost = A.copy()
    lost[1, 2] = np.nan
    report = check_gradients.jacobian(lambda x: A @ x, lambda x: lost, np.ones(3), locate=False)
    assert report.relative_error == math.inf
    assert report.parameters[0].counts["nonfinite"] == 1


def test_one_random_vector_is_enough_to_see_a_fault_of_usual_size() -> None:
    right = check_gradients.jacobian(fun, jac, X, mode="probe", probes=1)
    assert (right.passed, right.parameters[0].covered) == (True, 24)
    wrong = check_gradients.jacobian(
        fun, lambda x: changed(jac(x), 2, 3, by=1.5), X, mode="probe", probes=1, locate=False
    )
    assert [c.name for c in wrong.components if c.verdict == "bug"] == ["jac[2, 3]"]


@pytest.mark.parametrize("seed", range(6))
def test_ties_in_all_components_are_no_fault_along_random_vectors(seed: int) -> None:
    """Each vector has slopes of its own at a tie: columns are differenced where they are few."""
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    right = check_gradients.jacobian(np.sort, lambda x: np.eye(5), x, mode="probe", seed=seed)
    assert right.passed
    report = check_gradients.jacobian(
        np.sort, lambda x: np.diag([1, 1, 1, 1, 2.0]), x, mode="probe", seed=seed
    )
    assert not report.passed
