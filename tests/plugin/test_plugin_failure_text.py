"""What a user sees of a wrong gradient in the terminal."""

from __future__ import annotations

import json

import pytest
from conftest import Suite

BAD = "def test_bad(gradcheck):\n    gradcheck(cost, bad, PARAMS)\n"


def ours(lines: list[str]) -> list[str]:
    """Return the lines of failures that a plugin has a say in."""
    return [line for line in lines if line.startswith(("E ", "FAIL ", "FAILED "))]


def test_the_first_line_has_the_verdict_and_the_worst_component(suite: Suite) -> None:
    suite.file(BAD)
    result = suite.run()
    result.stdout.fnmatch_lines(
        [
            ">       gradcheck(cost, bad, PARAMS)",
            "E       GradientError: b1 is 4.000 x the numerical gradient (pair.py:*):",
            "E         a plain factor is too much: a unit, a weight, a normalization?",
            "E       3 bug, of 9; the worst is b1[[]2]; cause: scale; relative error 5.7e-01",
            "E       parameter  shape  checked  not ok  rel. error  verdict",
            "E       W1           2x3        6       0 *  ok",
            "E       b1             3        3       3     6.0e-01  bug",
            "E       worst          analytic  numerical  ratio  rel. error  verdict",
            "E       b1[[]2], 2 more       108         27  4.000     6.0e-01  bug",
            "test_it.py:*: GradientError",
            "FAILED test_it.py::test_bad - GradientError: b1 is 4.000 x the numerical *",
        ]
    )


@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "no", "native"])
def test_the_traceback_ends_in_a_line_of_the_user(suite: Suite, style: str) -> None:
    suite.file(
        """
def test_fixture(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_import():
    imported(cost, bad, PARAMS)

@pytest.mark.gradcheck
def test_returned():
    return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck(**WRONG)
def test_named():
    pass

def test_problem(gradcheck):
    gradcheck(broken, good, PARAMS)
"""
    )
    result = suite.run(f"--tb={style}")
    result.assert_outcomes(failed=5)
    if style == "native":
        return  # Python's own traceback has every frame
    text = result.stdout.str()
    assert "pytest_gradcheck/" not in text
    assert "hidden" not in text
    if style in ("auto", "long"):
        shown = [line for line in result.stdout.lines if line.startswith(">")]
        assert shown == [
            ">       gradcheck(cost, bad, PARAMS)",
            ">       imported(cost, bad, PARAMS)",
            ">   @pytest.mark.gradcheck",
            ">   @pytest.mark.gradcheck(**WRONG)",
            '>       raise RuntimeError("boom")',
            ">       gradcheck(broken, good, PARAMS)",
        ]


def test_the_cause_of_a_problem_is_shown_in_the_function_of_the_user(suite: Suite) -> None:
    suite.file("def test_bad(gradcheck):\n    gradcheck(broken, good, PARAMS)\n")
    suite.run().stdout.fnmatch_lines(
        [
            '>       raise RuntimeError("boom")',
            "E       RuntimeError: boom",
            "The above exception was the direct cause of the following exception:",
            "E       ProblemError: cost-raised: broken raised RuntimeError: boom*",
        ]
    )


LARGE = """
ALL = np.tile(np.arange(1.0, 11.0), (500, 1))
MANY = {f"encoder.layers[{i}].attention.projection.weight": row for i, row in enumerate(ALL)}
WRONG_OF_MANY = {name: row * (2 + row * (i + 1)) for i, (name, row) in enumerate(MANY.items())}

def test_large(gradcheck):
    gradcheck(lambda: float(np.vdot(ALL, ALL)), lambda: WRONG_OF_MANY, MANY, eps=1e-4, inplace=True)

class TestDeep:
    def test_deep(self, gradcheck):
        for _ in range(1):
            if True:
                with open(__file__):
                    gradcheck(cost, bad, PARAMS)

    def test_helper(self):
        self.helper(bad)

    def helper(self, grad):
        if grad is bad:
            imported(
                cost,
                grad,
                PARAMS,
            )

@pytest.mark.gradcheck
def test_list():
    return [Problem(cost, bad, PARAMS)] * 50
"""


def test_reports_of_any_size_fit_a_screen_of_80_columns_and_60_lines(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(LARGE)
    result = suite.run(*plugin_args)
    result.assert_outcomes(failed=4)
    lines = ours(result.stdout.lines)
    assert [line for line in lines if len(line) > 80] == []
    assert len(lines) < 4 * 60
    large = [line for line in lines if "weight" in line]
    assert 25 < len(large) < 60
    names = [line.split()[1] for line in large if line.endswith(" bug") and " 10 " in line]
    assert len(set(names)) == len(names) > 10, "shortened names can be told apart"
    result.stdout.fnmatch_lines(
        ["E   problem 8 of 50: b1 is 4.000*", "E   and 42 more problems of 50"]
    )
    result.stdout.fnmatch_lines(["E                   GradientError: b1 is 4.000 x the numerical*"])


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_reports_fit_other_widths(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    suite.file(BAD + "def test_more():\n    imported(cost, slightly, PARAMS)\n")
    lines = ours(suite.run().stdout.lines)
    assert len(lines) > 20
    assert [line for line in lines if len(line) > columns] == []


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_an_ascii_terminal_gets_ascii(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    suite.file(
        LARGE
        + """
def test_problem(gradcheck):
    gradcheck(cost, lambda p: {f"{i}": 1.0 for i in range(50)}, PARAMS)

def test_name(gradcheck):
    gradcheck(lambda p: float(p["\\u03b8"] ** 2), lambda p: {"\\u03b8": 1.0}, {"\\u03b8": 3.0})
"""
    )
    result = suite.pytester.runpytest_subprocess("-v", *workers)
    result.assert_outcomes(failed=6)
    text = result.stdout.str()
    assert text.isascii()
    result.stdout.fnmatch_lines(["E       GradientError: bug at \\u03b8: *", "*b1 is 4.000 x *"])
    assert "\\u" not in text.replace("\\u03b8", "")
    assert "\\x" not in text
    assert [
        line for line in ours(result.stdout.lines) if len(line) > 80 and "Prob" not in line
    ] == []


def test_the_answer_is_one_line_where_only_one_is_shown(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.file(BAD)
    monkeypatch.setenv("CI", "true")  # where pytest does not cut the lines of its summary
    suite.run("--junitxml=junit.xml").stdout.fnmatch_lines(
        ["FAILED test_it.py::test_bad - GradientError: b1 is 4.000 x *ization[?] (pair.py:*)"]
    )
    xml = (suite.pytester.path / "junit.xml").read_text(encoding="utf-8")
    assert (
        'message="GradientError: b1 is 4.000 x the numerical gradient: a plain factor is too' in xml
    )
    assert "\x1b" not in xml


HELPER = """
def backward(dout, out):
    dpre = dout * (1 - out)
    return dpre
"""

PAIR = """
import numpy as np
from layers import backward

X = np.random.default_rng(0).standard_normal((6, 3))

def cost(w):
    pre = X @ w
    out = np.tanh(pre)
    return 0.5 * np.sum(out**2)

def grad(w):
    out = np.tanh(X @ w)
    dout = 1.0 * out
    dpre = backward(dout, out)
    return X.T @ dpre

def test_pair(gradcheck):
    gradcheck(cost, grad, np.array([0.3, -0.5, 0.8]), locate=True)
"""


def test_the_line_of_a_helper_in_another_module_stands_in_every_report(suite: Suite) -> None:
    suite.pytester.makepyfile(layers=HELPER)
    suite.file(PAIR)
    suite.run("--gradcheck-report=a.json", "--gradcheck-report=a.html", "--junitxml=a.xml")
    text = {
        kind: (suite.pytester.path / f"a.{kind}").read_text(encoding="utf-8")
        for kind in ("json", "html", "xml")
    }
    places = [
        finding["where"]
        for check in json.loads(text["json"])["checks"]
        for finding in check["findings"]
        if finding["code"] == "line"
    ]
    assert places == [["layers.py", 2]]
    assert "layers.py:2" in text["html"]
    assert "layers.py:2" in text["xml"]


def test_rows_of_what_is_right_recede(suite: Suite) -> None:
    suite.file(BAD)
    lines = suite.run("--color=yes").stdout.lines
    (right,) = (line for line in lines if "W1    " in line)
    (wrong,) = (line for line in lines if "b1    " in line)
    assert right.startswith("\x1b[2mE ")
    assert wrong.startswith("\x1b[1m\x1b[31mE ")


def test_colours_are_pytests_own(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.file(BAD + "def test_good(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    coloured = suite.run("--color=yes", "-v").stdout.str()
    assert "\x1b[31mFAIL   test_it.py::test_bad" in coloured
    assert "\x1b[32mok     test_it.py::test_good" in coloured
    assert "\x1b" not in suite.run("--color=no", "-v").stdout.str()
    monkeypatch.delenv("PY_COLORS")  # pytester's, and stronger than those of users
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31mFAIL" in suite.run().stdout.str()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in suite.run().stdout.str()
