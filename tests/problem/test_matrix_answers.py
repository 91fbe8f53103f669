"""Answers of Jacobians: the forms that are taken, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import SkipTest

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from pytest_gradcheck import ProblemError, check_gradients
from pytest_gradcheck.problem.jacobian.matrices import DenseMatrix

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

A = np.random.default_rng(0).normal(size=(5, 3))
B = A + 1j * np.random.default_rng(1).normal(size=(5, 3))
x = np.array([0.3, -0.2, 1.1])
z = np.array([0.3 + 0.2j, -0.5 + 0.1j, 0.7j])


def fun(x: Array) -> Array:
    return np.asarray(np.sin(A @ x))


def jac(x: Array) -> Array:
    return np.asarray(np.cos(A @ x)[:, None] * A)


def energies(z: Complex) -> Array:
    return np.abs(B @ z) ** 2


def slopes(z: Complex) -> Complex:
    return np.asarray(2 * np.conj(B) * (B @ z)[:, None])


FORMS: list[Callable[[Any], Any]] = [
    sparse.csr_array,
    sparse.csc_matrix,
    sparse.coo_array,
    sparse.lil_array,
    sparse.bsr_array,
]


@pytest.mark.parametrize("form", FORMS)
def test_a_sparse_matrix_of_complex_parameters_is_taken_in_every_format(
    form: Callable[[Any], Any],
) -> None:
    report = check_gradients.jacobian(energies, lambda z: form(slopes(z)), z)
    assert (report.verdict, report.parameters[0].checked) == ("ok", 30)

    def wrong(z: Complex) -> Any:
        matrix = slopes(z)
        matrix[3, 1] = matrix[3, 1].real - 1j * matrix[3, 1].imag
        return form(matrix)

    report = check_gradients.jacobian(energies, wrong, z)
    assert [component.name for component in report.components] == ["jac[3, 1].imag"]


def test_complex_and_real_parameters_share_a_sparse_matrix() -> None:
    params = {"k": np.array([2.0, 0.5]), "z": z, "c": 0.3}

    def both(p: dict[str, Any]) -> Array:
        return np.asarray(p["k"].sum() * energies(p["z"]) + p["c"] ** 2)

    def matrix(p: dict[str, Any]) -> Any:
        scale, ones = energies(p["z"]), np.ones(5)
        columns = [scale, scale, *(p["k"].sum() * slopes(p["z"]).T), 2 * p["c"] * ones]
        return sparse.csr_array(np.column_stack(columns))

    assert check_gradients.jacobian(both, matrix, params).verdict == "ok"


def test_a_large_complex_sparse_matrix_is_differenced_in_groups() -> None:
    n = 300
    at = np.exp(1j * np.arange(n))
    report = check_gradients.jacobian(
        lambda z: np.abs(z) ** 2 + z.real, lambda z: sparse.diags_array(2 * z + 1), at
    )
    assert report.verdict == "ok"
    assert report.evaluations < 60


def test_imaginary_zeros_of_a_sparse_matrix_of_real_parameters_are_no_matter() -> None:
    assert check_gradients.jacobian(fun, lambda x: sparse.csr_array(jac(x) + 0j), x).passed
    with pytest.raises(ProblemError, match="return the real part") as caught:
        check_gradients.jacobian(fun, lambda x: sparse.csr_array(jac(x) + 1j), x)
    assert caught.value.code == "nonnumeric-gradient"


class Operator:
    """An operator with products of its own, and a shape that may be of another size."""

    def __init__(self, matvec: Callable[[Array], Any], shape: tuple[int, int] = (5, 3)) -> None:
        self.matvec, self.shape = matvec, shape


def test_an_operator_needs_no_product_from_the_left() -> None:
    def scipys(x: Array) -> Any:
        return LinearOperator((5, 3), matvec=lambda v: jac(x) @ v, dtype=np.float64)

    assert check_gradients.jacobian(fun, scipys, x).passed
    assert check_gradients.jacobian(fun, lambda x: Operator(lambda v: jac(x) @ v), x).passed
    report = check_gradients.jacobian(fun, lambda x: Operator(lambda v: 2 * jac(x) @ v), x)
    assert report.verdict == "bug"


def raising(v: Array) -> Array:
    raise RuntimeError("no product")


class Left:
    shape = (5, 3)

    def rmatvec(self, u: Array) -> Array:
        return np.asarray(jac(x).T @ u)


class Neither:
    shape = (5, 3)


REFUSED: dict[str, tuple[Callable[[Array], Any], str, str]] = {
    "from the left alone": (lambda x: Left(), "nonnumeric-gradient", "Left, which has rmatvec and"),
    "no product": (lambda x: Neither(), "nonnumeric-gradient", "Neither, which is no array and"),
    "words": (lambda x: "jac", "nonnumeric-gradient", "jac returned a str"),
    "too short": (
        lambda x: Operator(lambda v: (jac(x) @ v)[:4]),
        "shape-mismatch",
        r"jac.matvec returned shape \(4,\) for a vector of 3, where 5",
    ),
    "raises": (
        lambda x: Operator(raising),
        "gradient-raised",
        "jac.matvec raised RuntimeError: no product",
    ),
    "complex product": (
        lambda x: Operator(lambda v: jac(x) @ v + 1j),
        "nonnumeric-gradient",
        "jac.matvec returned complex128, where real",
    ),
    "an operator turned": (
        lambda x: Operator(lambda v: jac(x).T @ v, (3, 5)),
        "shape-mismatch",
        "it is transposed",
    ),
    "a sparse one turned": (
        lambda x: sparse.csr_array(jac(x).T),
        "shape-mismatch",
        "it is transposed",
    ),
    "a row less": (lambda x: jac(x)[:4], "shape-mismatch", r"\(5, 3\): it has a row too few"),
    "two rows more": (
        lambda x: np.vstack([jac(x), A[:2]]),
        "shape-mismatch",
        "it has 2 rows too many",
    ),
    "two columns less": (lambda x: jac(x)[:, :1], "shape-mismatch", "it has 2 columns too few"),
    "a column more": (
        lambda x: np.column_stack([jac(x), x.sum() * np.ones(5)]),
        "shape-mismatch",
        "it has a column too many",
    ),
    "flat": (lambda x: jac(x).ravel(), "shape-mismatch", "so a reshape is missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_matrix_that_fits_is_refused_with_what_would(name: str) -> None:
    answer, code, said = REFUSED[name]
    with pytest.raises(ProblemError, match=said) as caught:
        check_gradients.jacobian(fun, answer, x)
    assert caught.value.code == code


def test_an_operator_of_complex_parameters_is_refused_with_what_is_taken() -> None:
    with pytest.raises(ProblemError, match=r"scipy\.sparse matrix of dJ/dRe") as caught:
        check_gradients.jacobian(energies, lambda z: Operator(lambda v: slopes(z) @ v), z)
    assert caught.value.code == "nonnumeric-gradient"


@pytest.mark.parametrize("second", ["2-point", None, A, False])
def test_what_is_no_function_is_named_in_a_few_words(second: Any) -> None:
    with pytest.raises(ProblemError, match="jacobian takes two functions") as caught:
        check_gradients.jacobian(fun, second, x)
    assert len(str(caught.value)) < 150


class Pair(NamedTuple):
    r: Any
    s: Any


def test_outputs_and_matrices_may_be_tables_in_tuples() -> None:
    pandas = pytest.importorskip("pandas")

    def tables(x: Array) -> Pair:
        return Pair(pandas.Series(fun(x), index=list("abcde")), (x**2, {"sum": x.sum()}))

    def matrices(x: Array) -> Pair:
        return Pair(pandas.DataFrame(jac(x)), (np.diag(2 * x), {"sum": np.ones(3)}))

    assert check_gradients.jacobian(tables, matrices, x).verdict == "ok"

    def wrong(x: Array) -> Pair:
        right = matrices(x)
        right.s[0][1, 1] *= 3
        right.r.iloc[4, 0] = 0.0
        return right

    report = check_gradients.jacobian(tables, wrong, x)
    assert {c.name for c in report.components} == {"jac.r[4, 0]", "jac.s[0][1, 1]"}


def test_the_function_may_return_its_matrix_as_well() -> None:
    assert check_gradients.jacobian(lambda x: (fun(x), jac(x)), True, x).passed
    assert check_gradients.hessian(lambda x: (x**3, np.diag(3 * x**2)), True, x).passed
    report = check_gradients.jacobian(lambda x: (fun(x), 2 * jac(x)), True, x)
    assert report.findings[0].code == "scale"


class Dense:
    """A sparse array of another library."""

    shape = (5, 3)

    def __init__(self, values: Array) -> None:
        self._values = values

    def todense(self) -> Array:
        return self._values


def test_sparse_arrays_of_other_libraries_are_written_out() -> None:
    assert check_gradients.jacobian(fun, lambda x: Dense(jac(x)), x).passed
    assert not check_gradients.jacobian(fun, lambda x: Dense(-jac(x)), x).passed


def test_a_pushforward_of_tuples_may_refuse_the_usual_call_in_any_way() -> None:
    def rule(primals: Any, tangents: Any) -> Any:
        if not isinstance(primals, tuple):
            raise RuntimeError("expected primals to be a tuple")
        return fun(*primals), jac(*primals) @ tangents[0]

    assert check_gradients.jvp(fun, lambda p, t: rule(p, t), x).passed


def test_of_one_output_or_one_parameter_a_vector_is_the_matrix() -> None:
    v = np.array([3.0, 1.0, 2.0])
    one_output = check_gradients.jacobian(lambda x: np.array([x @ x]), lambda x: 2 * x, v)
    assert (one_output.verdict, one_output.parameters[0].checked) == ("ok", 3)
    one_parameter = check_gradients.jacobian(lambda t: v * t**2, lambda t: 2 * v * t, np.ones(1))
    assert (one_parameter.verdict, one_parameter.parameters[0].checked) == ("ok", 3)
    wrong = check_gradients.jacobian(lambda x: np.array([x @ x]), lambda x: 3 * x, v)
    assert wrong.verdict == "bug"


def test_an_answer_without_one_of_the_outputs_is_refused_by_its_name() -> None:
    def two(x: Array) -> dict[str, Array]:
        return {"a": 2 * x, "b": 3 * x}

    with pytest.raises(ProblemError, match=r"jac has no entry .*b.*, which the outputs have") as e:
        check_gradients.jacobian(two, lambda x: {"a": 2 * np.eye(3)}, x)
    assert e.value.code == "missing-gradient"


def test_a_matrix_may_be_made_of_what_the_function_keeps_for_it() -> None:
    def kept(x: Array, M: Array) -> Any:
        inner = M @ x
        return np.sin(inner), inner

    def more(x: Array, M: Array) -> Any:
        return (*kept(x, M), "more")

    def of_cache(x: Array, M: Array, cache: Any) -> Array:
        inner = cache[0] if isinstance(cache, tuple) else cache
        return np.asarray(np.cos(inner)[:, None] * M)

    def doubled(x: Array, M: Array, cache: Any) -> Array:
        return 2 * of_cache(x, M, cache)

    data = {"M": A}
    assert check_gradients.jacobian(kept, of_cache, x, data=data).verdict == "ok"
    assert check_gradients.jacobian(more, of_cache, x, data=data).verdict == "ok"
    assert check_gradients.jacobian(kept, doubled, x, data=data).verdict == "bug"
    with pytest.raises(ProblemError, match=r"is to return \(out, cache\), but it returned a nd"):
        check_gradients.jacobian(lambda x, M: M @ x, of_cache, x, data=data)


def test_further_arguments_come_by_position_or_by_name() -> None:
    def scaled(x: Array, s: float) -> Array:
        return s * x

    with pytest.raises(ProblemError, match="by position or by data=, not both"):
        check_gradients.jacobian(scaled, lambda x, s: s * np.eye(3), x, 2.0, data={"s": 2.0})


def test_outputs_that_are_whole_numbers_are_numbers() -> None:
    report = check_gradients.jacobian(
        lambda x: np.array([1, 2, 3]), lambda x: np.zeros((3, 3)), np.ones(3)
    )
    assert report.passed
    with pytest.raises(ProblemError, match="no output moves with the parameters"):
        check_gradients.jacobian(lambda x: np.array([1, 2, 3]), lambda x: np.eye(3), np.ones(3))


def test_a_pushforward_of_two_outputs_may_return_their_tangents_alone() -> None:
    def two(x: Array) -> tuple[Array, Array]:
        return np.sin(x), x**2

    def along(x: Array, dx: Array) -> tuple[Array, Array]:
        return np.cos(x) * dx, 2 * x * dx

    assert check_gradients.jvp(two, along, x).verdict == "ok"
    with_outputs = check_gradients.jvp(two, lambda x, dx: (two(x), along(x, dx)), x)
    assert with_outputs.verdict == "ok"
    assert check_gradients.jvp(two, lambda x, dx: along(x, dx)[::-1], x).verdict == "bug"


def test_a_pushforward_that_raises_is_refused_with_the_forms_of_its_call() -> None:
    def raising(*args: Any) -> Any:
        raise TypeError("no such form")

    with pytest.raises(ProblemError, match=r"it is called as jvp\(x, dx\), with several"):
        check_gradients.jvp(lambda x, w: x * w, raising, x, x)


def test_skips_in_any_form_of_a_pushforward_pass_through() -> None:
    def skipping(x: Any, dx: Any) -> Any:
        if isinstance(x, tuple):
            raise SkipTest("not today")
        raise TypeError("this form does not work")

    with pytest.raises(SkipTest, match="not today"):
        check_gradients.jvp(np.sin, skipping, x)


def test_a_pullback_beside_a_pushforward_has_one_of_two_forms() -> None:
    def along(x: Array, dx: Array) -> Array:
        return np.cos(x) * dx

    with pytest.raises(ProblemError, match=r"vjp\(x, dout\), or returns \(out, pullback\)"):
        check_gradients.jvp(np.sin, along, x, vjp=lambda x: (np.sin(x), np.cos(x)))


def test_an_operator_whose_product_is_not_implemented_is_refused() -> None:
    class Empty:
        shape = (5, 3)

        def matvec(self, vector: Array) -> Array:
            raise NotImplementedError

    with pytest.raises(ProblemError, match="jac has a matvec that is none") as refused:
        check_gradients.jacobian(fun, lambda x: Empty(), x)
    assert refused.value.code == "gradient-raised"


def test_complex_and_real_parameters_share_a_dense_matrix() -> None:
    def outputs(p: dict[str, Any]) -> Array:
        return np.asarray(np.abs(B @ p["z"]) ** 2 + A @ p["x"])

    def matrix(p: dict[str, Any]) -> Complex:
        return np.concatenate([slopes(p["z"]), A.astype(np.complex128)], axis=1)

    params = {"z": z, "x": x}
    assert check_gradients.jacobian(outputs, matrix, params).verdict == "ok"

    def imaginary(p: dict[str, Any]) -> Complex:
        answer = matrix(p)
        answer[1, 4] += 1j
        return answer

    with pytest.raises(ProblemError, match="has imaginary parts for x"):
        check_gradients.jacobian(outputs, imaginary, params)


def test_dropout_of_a_jacobian_is_frozen_in_both_functions() -> None:
    rng = np.random.default_rng(0)

    def dropped(x: Array, rng: Any) -> Any:
        mask = rng.random(5) < 0.5
        return np.sin(A @ x) * mask, mask

    def with_mask(x: Array, rng: Any, cache: Any) -> Array:
        return np.asarray((np.cos(A @ x) * cache)[:, None] * A)

    report = check_gradients.jacobian(dropped, with_mask, x, data={"rng": rng}, dropout="freeze")
    assert report.verdict == "ok"
    assert rng.random() == np.random.default_rng(0).random()


def test_entries_of_selected_columns_are_named_as_they_stand_in_the_answer() -> None:
    """A matrix of the selected parameters alone has their columns side by side."""
    M = np.arange(1.0, 11).reshape(2, 5)
    params = {"a": np.ones(2), "b": np.ones(1), "c": np.ones(2)}

    def outputs(p: dict[str, Array]) -> Array:
        return np.asarray(M @ np.concatenate([p["a"], p["b"], p["c"]]))

    def chosen(p: dict[str, Array]) -> Array:
        answer = M[:, [0, 1, 3, 4]].copy()
        answer[1, 3] *= -2
        answer[0, 0] *= -2
        return np.asarray(answer)

    report = check_gradients.jacobian(outputs, chosen, params, only=["a", "c"])
    assert {component.name for component in report.components} == {"jac[1, 3]", "jac[0, 0]"}


def test_a_matrix_tells_how_many_outputs_it_has_and_how_many_components() -> None:
    matrix = DenseMatrix(np.arange(10.0).reshape(2, 5), ())
    assert matrix.shape == matrix.owned().shape == (2, 5)
    assert matrix.columns(np.arange(5)).shape == (5, 2)
    assert matrix.along(np.ones(5)).shape == (2,)
