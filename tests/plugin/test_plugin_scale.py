"""Modes, batches and workers from pytest's side: by marker, command line and ini file."""

from __future__ import annotations

import json

import pytest
from conftest import Suite, surprises

SCALED = """
X = np.linspace(0.1, 1.0, 12_000)

def sine(x):
    return np.sum(np.sin(x), axis=-1)

def off(x):
    gradient = np.cos(x)
    gradient[7_000] *= 1.01
    return gradient

def test_passes_beyond_ten_thousand(gradcheck):
    report = gradcheck(sine, np.cos, X)
    assert report.parameters[0].covered == 12_000
    assert report.evaluations < 100

def test_fails_where_one_of_many_is_wrong(gradcheck):
    gradcheck(sine, off, X)

@pytest.mark.gradcheck(mode="probe")
def test_passes_with_a_mode_from_the_marker(gradcheck):
    assert gradcheck(sine, np.cos, X).parameters[0].checked == 0

@pytest.mark.gradcheck(batched=True)
def test_passes_in_batches(gradcheck):
    gradcheck(sine, np.cos, X[:200])

@pytest.mark.gradcheck(workers=2)
def test_passes_with_workers(gradcheck):
    gradcheck(sine, np.cos, X[:200])

@pytest.mark.gradcheck(workers=2)
def test_fails_with_workers(gradcheck):
    gradcheck(sine, lambda x: 2 * np.cos(x), X[:200])

@pytest.mark.gradcheck(batched=True)
def test_fails_in_batches_that_are_none(gradcheck):
    gradcheck(lambda x: float(np.sum(x)), np.ones_like, X[:20])
"""


def test_modes_batches_and_workers_from_a_marker(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(SCALED)
    assert surprises(suite.outcomes(*plugin_args)) == {}


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_workers_find_the_functions_of_a_test_module_however_it_was_imported(
    suite: Suite, mode: str
) -> None:
    suite.pytester.makepyfile(
        **{
            "tests/unit/test_sent": """
                import numpy as np

                SCALE = 3.0

                def cost(x):
                    return SCALE * float(np.sum(np.sin(x)))

                def test_passes(gradcheck):
                    gradcheck(cost, lambda x: SCALE * np.cos(x), np.ones(50), workers=2)
            """
        }
    )
    result = suite.run(f"--import-mode={mode}", "tests")
    result.assert_outcomes(passed=1)


def test_a_run_can_be_set_to_probe_by_option_and_by_ini_file(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(
        """
def test_passes_here(gradcheck):
    report = gradcheck(cost, good, PARAMS)
    assert [p.checked for p in report.parameters] == [0, 0]
    assert report.settings.search_calls == 99
"""
    )
    suite.pytester.makeini(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\ngradcheck_search_calls = 99\n"
    )
    outcomes = suite.outcomes("--gradcheck-mode=probe", *plugin_args)
    assert outcomes == {"test_passes_here": "passes"}


def test_the_canary_sings_in_probe_mode(suite: Suite, plugin_args: tuple[str, ...]) -> None:
    suite.file(
        """
def test_passes_with_faults_that_a_direction_shows(gradcheck):
    x = np.linspace(0.1, 1.0, 3000)
    gradcheck(lambda x: float(np.sum(np.sin(x))), np.cos, x, mode="probe")

def test_fails_where_rounding_hides_them(gradcheck):
    x = np.linspace(0.1, 1.0, 3000)
    noisy = lambda x: np.float32(1e3 + np.sum(np.sin(x)))
    gradcheck(noisy, np.cos, x, mode="probe")
"""
    )
    assert surprises(suite.outcomes("--gradcheck-canary", *plugin_args)) == {}


def test_a_seed_from_the_name_repeats_a_search_with_any_number_of_xdist_workers(
    suite: Suite,
) -> None:
    suite.file(
        """
def test_fails_here(gradcheck):
    x = np.linspace(0.1, 1.0, 20_000)
    def off(x):
        gradient = np.cos(x)
        gradient[[5, 700, 9000]] *= 1.01
        return gradient
    gradcheck(lambda x: float(np.sum(np.sin(x))), off, x)
"""
    )
    said = []
    for args in ((), ("-n2",)):
        suite.run("--gradcheck-report=report.json", *args)
        found = json.loads((suite.pytester.path / "report.json").read_text(encoding="utf-8"))
        said.append([{**check, "seconds": 0} for check in found["checks"]])
    assert said[0] == said[1]
    assert json.dumps(said[0]).count('"verdict": "bug"') > 3


def test_the_summary_counts_what_random_directions_have_seen(suite: Suite) -> None:
    suite.file(
        """
def test_passes_here(gradcheck):
    gradcheck(lambda x: float(np.sum(np.sin(x))), np.cos, np.linspace(0, 1, 12_000), mode="probe")
"""
    )
    result = suite.run("-v", "--gradcheck-report=report.md", "--gradcheck-report=report.html")
    result.stdout.fnmatch_lines(["*12,000 components, relative error*"])
    assert "| 12000 |" in (suite.pytester.path / "report.md").read_text(encoding="utf-8")
    page = (suite.pytester.path / "report.html").read_text(encoding="utf-8")
    assert "<td>0 of 12000, 12000 seen</td>" in page
