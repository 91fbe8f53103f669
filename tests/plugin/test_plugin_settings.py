"""Settings: call > marker > command line > ini file > default, and refusals by name."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from conftest import SINCE_PYTEST_9, Suite

from pytest_gradcheck.settings import Settings

# Of every setting that has an option: values of ini file, command line, marker and call, all
# different from the default and, where the setting has so many values, from each other.
VALUES: dict[str, tuple[Any, Any, Any, Any]] = {
    "mode": ("full", "sample", "full", "sample"),
    "eps": (1e-3, 1e-4, 1e-5, 1e-6),
    "noise": (1e-9, 2e-9, 3e-9, 4e-9),
    "suspect": (2e-5, 3e-5, 4e-5, 5e-5),
    "bug": (2e-3, 3e-3, 4e-3, 5e-3),
    "fail_on": ("bug", "suspect", "bug", "suspect"),
    "strict": (True, True, False, True),
    "seeds": (2, 3, 4, 5),
    "train": (1, 2, 3, 4),
    "learning_rate": (1e-4, 2e-4, 3e-4, 4e-4),
    "samples": (21, 22, 23, 24),
    "probes": (5, 6, 7, 8),
    "search_calls": (100, 200, 300, 400),
    "seed": (11, 12, 13, 14),
    "workers": (2, 3, 4, 5),
    "batched": (True, True, False, True),
    "only": (["W1"], ["b1"], ["W*"], ["b*"]),
    "exclude": (["W1"], ["b1"], ["W*"], ["b*"]),
    "locate": (False, True, False, True),
}
OPTIONS = [item.name for item in dataclasses.fields(Settings) if item.metadata["kind"] != "code"]


def flags(name: str, value: Any) -> list[str]:
    """Return a setting as its user would write it on the command line."""
    flag = f"--gradcheck-{name.replace('_', '-')}"
    if value is True:
        return [flag]
    if value is False:
        return [f"--no-gradcheck-{name}"] if name == "locate" else []
    return [f"{flag}={item}" for item in (value if isinstance(value, list) else [value])]


def ini(column: int, style: str) -> str:
    """Return an ini file in which every setting has its value of `column`."""
    lines = []
    for name, values in VALUES.items():
        value = values[column]
        if style == "pytest.ini":
            text = "\n    ".join(value) if isinstance(value, list) else str(value)
        elif style == "native" or isinstance(value, (bool, list)):
            text = json.dumps(value)
        else:
            text = json.dumps(str(value))
        lines.append(f"gradcheck_{name} = {text}")
    head = {"pytest.ini": "[pytest]", "native": "[tool.pytest]"}
    return "\n".join([head.get(style, "[tool.pytest.ini_options]"), *lines]) + "\n"


RESOLVED = """
import json
import pytest
from pytest_gradcheck.context import current
from pytest_gradcheck.settings import resolve

def write(name, **call):
    settings, _ = resolve([*current().sources, ("call", call)])
    with open(name, "w") as file:
        json.dump({k: v for k, v in vars(settings).items() if k not in CODE}, file)

CODE = ("inplace", "dropout", "disable", "regularization", "project")

def test_run():
    write("run.json")

@pytest.mark.gradcheck(**MARKER)
def test_marker():
    write("marker.json")

@pytest.mark.gradcheck(**MARKER)
def test_call():
    write("call.json", **CALL)
"""


def test_the_table_has_every_option() -> None:
    assert list(VALUES) == OPTIONS


@pytest.mark.parametrize(
    "style", ["pytest.ini", "ini_options", pytest.param("native", marks=SINCE_PYTEST_9)]
)
@pytest.mark.parametrize("line", [False, True], ids=["without_options", "with_options"])
def test_the_nearest_value_of_every_setting_wins(
    pytester: pytest.Pytester, style: str, line: bool
) -> None:
    name = "pytest.ini" if style == "pytest.ini" else "pyproject.toml"
    (pytester.path / name).write_text(ini(0, style))
    marker, call = ({name: values[i] for name, values in VALUES.items()} for i in (2, 3))
    pytester.makepyfile(f"MARKER = {marker!r}\nCALL = {call!r}\n{RESOLVED}")
    args = [flag for name, values in VALUES.items() for flag in flags(name, values[1])]
    result = pytester.runpytest_inprocess("-p", "no:asyncio", *(args if line else []))
    result.assert_outcomes(passed=3)

    def resolved(file: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((pytester.path / file).read_text())
        return found

    assert resolved("run.json") == {n: values[int(line)] for n, values in VALUES.items()}
    assert resolved("marker.json") == marker
    assert resolved("call.json") == call


def test_without_any_every_setting_has_its_default(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"MARKER = {{}}\nCALL = {{}}\n{RESOLVED}")
    pytester.runpytest_inprocess("-p", "no:asyncio").assert_outcomes(passed=3)
    found = json.loads((pytester.path / "run.json").read_text())
    default = Settings()
    assert found == json.loads(json.dumps({name: getattr(default, name) for name in OPTIONS}))


def test_no_option_has_a_default_on_the_command_line(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    assert {name: config.getoption(f"gradcheck_{name}") for name in OPTIONS} == dict.fromkeys(
        OPTIONS
    )
    assert {name: config.getini(f"gradcheck_{name}") for name in OPTIONS} == dict.fromkeys(OPTIONS)


def test_an_option_of_the_command_line_can_be_written_in_addopts(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\naddopts = --gradcheck-fail-on=bug --gradcheck-only W1\n")
    suite.file("def test_bad(gradcheck):\n    gradcheck(cost, bad, PARAMS)\n")
    suite.run("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("gradcheck_eps = banana", ["gradcheck_eps", "banana"]),
        ("gradcheck_eps = -1", ["gradcheck_eps", "greater than 0"]),
        ("gradcheck_seeds = 1.5", ["gradcheck_seeds", "1.5"]),
        ("gradcheck_seeds = 0", ["gradcheck_seeds", "at least 1"]),
        ("gradcheck_strict = perhaps", ["gradcheck_strict", "perhaps"]),
        ("gradcheck_fail_on = bugs", ["gradcheck_fail_on", "bugs", "did you mean 'bug'"]),
        ("gradcheck_mode = ful", ["gradcheck_mode", "did you mean 'full'"]),
        ("gradcheck_suspect = 1", ["suspect", "bug", "gradcheck_suspect"]),
        ("gradcheck_suspect = nan", ["gradcheck_suspect", "nan"]),
    ],
)
@pytest.mark.parametrize(
    "native", [False, pytest.param(True, marks=SINCE_PYTEST_9)], ids=["pytest.ini", "native"]
)
def test_a_wrong_value_in_the_ini_file_is_a_usage_error_that_names_it(
    pytester: pytest.Pytester, lines: str, said: list[str], native: bool
) -> None:
    pytester.makepyfile("def test_nothing():\n    pass\n")
    if native:
        name, _, value = lines.partition(" = ")
        text = value if value.replace(".", "").replace("-", "").isdigit() else json.dumps(value)
        pytester.makepyprojecttoml(f"[tool.pytest]\n{name} = {text}\n")
    else:
        pytester.makeini(f"[pytest]\n{lines}\n")
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str()
    assert "Traceback" not in text
    assert [word for word in said if word not in text] == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--gradcheck-eps=banana", ["--gradcheck-eps", "banana"]),
        ("--gradcheck-eps=-1", ["--gradcheck-eps", "greater than 0"]),
        ("--gradcheck-eps=nan", ["--gradcheck-eps", "nan"]),
        ("--gradcheck-seeds=1.5", ["--gradcheck-seeds", "1.5"]),
        ("--gradcheck-seeds=0", ["--gradcheck-seeds", "at least 1"]),
        ("--gradcheck-learning-rate=0", ["--gradcheck-learning-rate", "greater than 0"]),
        ("--gradcheck-fail-on=bugs", ["--gradcheck-fail-on", "bugs", "suspect"]),
        ("--gradcheck-mode=ful", ["--gradcheck-mode", "ful", "probe"]),
        ("--gradcheck-suspect=1", ["--gradcheck-suspect", "bug"]),
        ("--gradcheck-bug=1e-9", ["--gradcheck-bug", "suspect"]),
        ("--gradcheck-min=few", ["--gradcheck-min", "few"]),
        ("--gradcheck-min=-1", ["--gradcheck-min", "-1"]),
        ("--gradcheck-report=out.pdf", ["--gradcheck-report", "out.pdf", ".json", ".md"]),
        ("--gradcheck-fial-on=bug", ["--gradcheck-fial-on"]),
    ],
)
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_wrong_option_is_a_usage_error_that_names_it(
    pytester: pytest.Pytester, option: str, said: list[str], workers: tuple[str, ...]
) -> None:
    pytester.makepyfile("def test_nothing():\n    pass\n")
    result = pytester.runpytest_inprocess("-p", "no:asyncio", option, *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str()
    assert "Traceback" not in text
    assert [word for word in said if word not in text] == []


MARKERS = [
    ("fail_onn='bug'", ["unknown setting 'fail_onn'", "did you mean 'fail_on'"]),
    ("tolerance=1", ["unknown setting 'tolerance'", "known: "]),
    ("seeds=0", ["seeds is at least 1"]),
    ("seeds=1.5", ["seeds is a whole number, not 1.5"]),
    ("strict=1", ["strict is True or False, not 1"]),
    ("mode='ful'", ["mode is one of", "did you mean 'full'"]),
    ("eps='small'", ["eps is a finite number, not 'small'"]),
    ("only=3", ["only takes a name or a list of names, not 3"]),
    ("suspect=1.0", ["suspect", "bug"]),
    ("disable=('p',)", ["disable maps names"]),
    ("1e-3", ["takes keywords only, not 0.001"]),
    ("cost=len", ["grad, params", "missing"]),
    ("cost=len, grad=len", ["params", "missing"]),
    ("data={'X': 1}", ["cost, grad, params", "missing"]),
]


def test_every_wrong_marker_is_an_error_at_collection_that_names_its_test(
    pytester: pytest.Pytester, plugin_args: tuple[str, ...]
) -> None:
    pytester.makeini("[pytest]\n")
    for i, (arguments, _) in enumerate(MARKERS):
        test = f"@pytest.mark.gradcheck({arguments})\ndef test_marked():\n    raise SystemExit\n"
        (pytester.path / f"test_{i}.py").write_text(f"import pytest\n{test}")
    pytester.makepyfile(
        test_case="""
        import unittest, pytest

        class TestCase(unittest.TestCase):
            @pytest.mark.gradcheck(probe=1)
            def test_method(self):
                raise SystemExit

        class TestClass:
            @pytest.mark.parametrize("case", [pytest.param(1, marks=pytest.mark.gradcheck(x=1))])
            def test_parameter(self, case):
                raise SystemExit
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio", *plugin_args)
    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED)  # xdist's: 1
    result.assert_outcomes(errors=len(MARKERS) + 2)
    lines = result.stdout.lines
    for i, (_, said) in enumerate(MARKERS):
        line = next(line for line in lines if line.startswith(f"test_{i}.py::test_marked: "))
        assert [word for word in said if word not in line] == []
    result.stdout.fnmatch_lines_random(
        [
            "test_case.py::TestCase::test_method: *'probe' (did you mean 'probes'?)*",
            "test_case.py::TestClass::test_parameter[[]1[]]: *unknown setting 'x'*",
        ]
    )


def test_a_wrong_marker_is_named_when_its_test_is_asked_for_alone(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.gradcheck(seed=-1)\ndef test_one(): pass\n")
    name = next(pytester.path.glob("test_*.py")).name
    result = pytester.runpytest_inprocess("-p", "no:asyncio", f"{name}::test_one")
    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
    result.stdout.fnmatch_lines([f"{name}::test_one: *seed is at least 0, not -1*"])


def test_a_wrong_setting_of_a_call_is_a_problem_of_its_test(suite: Suite) -> None:
    suite.file(
        """
def test_name(gradcheck):
    with pytest.raises(ProblemError, match="fail_onn.*did you mean 'fail_on'") as caught:
        gradcheck(cost, good, PARAMS, fail_onn="bug")
    assert caught.value.code == "bad-setting"

def test_value():
    with pytest.raises(ProblemError, match="eps") as caught:
        check_gradients(cost, good, PARAMS, eps=-1)
    assert caught.value.code == "bad-setting"
"""
    )
    suite.run().assert_outcomes(passed=2)


def test_help_has_one_group_with_every_option(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "--help")
    lines = result.stdout.lines
    start = lines.index("gradient checking:")
    end = next(i for i, line in enumerate(lines[start:], start) if not line.strip())
    group = "\n".join(lines[start:end])
    others = ["canary", "report", "min", "off"]
    for name in [*OPTIONS, *others]:
        assert f"--gradcheck-{name.replace('_', '-')}" in group
    assert "--gradcheck" not in "\n".join(lines[:start] + lines[end:])
    assert [name for name in OPTIONS if f"gradcheck_{name}" not in "\n".join(lines[end:])] == []


def test_markers_shows_the_signature(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.gradcheck(cost=None, grad=None, params=None, *fail_on='suspect', *): *"]
    )


def test_fixtures_shows_what_the_fixture_is_for(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "--fixtures", "--gradcheck-min=3")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "gradcheck [[]session scope[]] -- *plugin/__init__.py:*",
            "    Check a hand-written gradient against two-sided differences of its cost.",
        ]
    )
    result.stdout.no_fnmatch_line("*gradcheck-min*")


def test_the_seed_is_the_same_with_any_number_of_workers(suite: Suite) -> None:
    suite.file(
        """
@pytest.mark.parametrize("name", ["a", "b"])
def test_seed(gradcheck, name):
    with open(f"{name}.seed", "a") as file:
        file.write(f"{gradcheck(cost, good, PARAMS).seed} ")

@pytest.mark.xdist_group("together")
@pytest.mark.gradcheck
def test_grouped():
    with open("grouped.seed", "a") as file:
        file.write(f"{check_gradients(cost, good, PARAMS).seed} ")
"""
    )
    for args in ((), ("-n0",), ("-n2",), ("-n2", "--dist", "loadgroup")):
        suite.run("--gradcheck-report=all.json", *args).assert_outcomes(passed=3)
        checks = json.loads((suite.pytester.path / "all.json").read_text())["checks"]
        assert {check["test"] for check in checks} == {
            "test_it.py::test_grouped",
            "test_it.py::test_seed[a]",
            "test_it.py::test_seed[b]",
        }
    seeds = [file.read_text().split() for file in sorted(suite.pytester.path.glob("*.seed"))]
    assert [len(found) for found in seeds] == [4, 4, 4]
    assert [len(set(found)) for found in seeds] == [1, 1, 1]
    assert len({found[0] for found in seeds}) == 3
