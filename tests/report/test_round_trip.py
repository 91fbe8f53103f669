"""A run written as JSON is read as the same run, whatever numbers and names stand in it."""

from __future__ import annotations

import json
import math
import pickle
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.report.compare import changes, earlier
from pytest_gradcheck.report.files import write
from pytest_gradcheck.report.record import Environment, Refusal, RunRecord, TestRecord
from pytest_gradcheck.report.summary import complete

SCHEMA = json.loads(files("pytest_gradcheck.report").joinpath("report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

texts = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates as well
names = st.text(st.characters(exclude_categories=()), min_size=1, max_size=3)
factors = st.sampled_from([1.0, 1.00001, 1.001, 3.0, 0.0, -1.0, math.nan, math.inf, 1e300])


@st.composite
def checks(draw: st.DrawFn) -> Report:
    """Draw a check of a few parameters with odd names, each right or wrong in some way."""
    params = {name: np.array([0.5, -1.5]) for name in draw(st.lists(names, max_size=3))} | {
        "b": 2.0
    }
    off = {name: draw(factors) for name in params}
    kinked = draw(st.booleans())

    def cost(p: dict[str, Any]) -> float:
        return float(
            sum(np.sum(np.square(value)) for value in p.values()) + kinked * abs(p["b"] - 2)
        )

    def grad(p: dict[str, Any]) -> dict[str, Any]:
        return {name: off[name] * 2 * value for name, value in p.items()}

    settings: Any = draw(st.sampled_from([{}, {"eps": 1e-7}, {"mode": "probe"}, {"strict": True}]))
    return check_gradients(cost, grad, params, **settings)


records = st.builds(
    TestRecord,
    nodeid=texts,
    path=texts,
    line=st.integers(0, 999),
    outcome=st.sampled_from(["passed", "failed", "error", "skipped", "xfailed", "xpassed"]),
    seconds=st.floats(0, 1e6),
    reruns=st.integers(0, 3),
    reason=texts,
    checks=st.lists(checks().map(complete), max_size=2).map(tuple),
    refusals=st.lists(st.builds(Refusal, st.just("cost-raised"), texts), max_size=1).map(tuple),
    unchecked=st.booleans(),
)
runs = st.builds(
    RunRecord,
    tests=st.lists(records, max_size=2).map(tuple),
    environment=st.builds(Environment, python=texts, platform=texts, commit=texts, branch=texts),
    exit_status=st.integers(0, 5),
    cut_short=st.booleans(),
    troubles=st.lists(texts, max_size=1).map(tuple),
)


def refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def readable(value: Any) -> Any:
    """Return plain types with what UTF-8 has no code for written out, as files have it."""
    return json.loads(json.dumps(value).encode("utf-8", "backslashreplace"))


@tried(60)
@given(runs)
def test_a_run_is_read_as_it_was_written_and_keeps_to_its_schema(run: RunRecord) -> None:
    plain = run.to_dict()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        write(path, run)
        read = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
        assert read == earlier(path) == readable(plain)
    VALIDATOR.validate(read)


@tried(60)
@given(runs)
def test_nothing_got_worse_since_the_same_run(run: RunRecord) -> None:
    kinds = {change["kind"] for change in changes(readable(run.to_dict()), run)}
    assert kinds <= {"no longer checked"}


@tried(60)
@given(checks())
def test_a_report_is_the_same_after_a_journey_to_another_process(report: Report) -> None:
    other = pickle.loads(pickle.dumps(report))
    assert readable(other.to_dict()) == readable(report.to_dict())
    assert str(other) == str(report)
