"""Settings: what each takes, what it refuses, and which of several values wins."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import ProblemError, Settings, check_gradients
from pytest_gradcheck.settings import SettingsKeywords, merge, nearest, resolve, unknown_name

DEFAULTS: dict[str, Any] = {
    "mode": "auto",
    "eps": None,
    "noise": None,
    "suspect": 1e-5,
    "bug": 1e-3,
    "fail_on": "suspect",
    "strict": False,
    "locate": True,
    "seeds": 1,
    "train": 0,
    "learning_rate": 0.1,
    "samples": 20,
    "probes": 4,
    "search_calls": 4000,
    "seed": None,
    "workers": 1,
    "batched": False,
    "only": (),
    "exclude": (),
    "inplace": False,
    "dropout": None,
    "disable": None,
    "regularization": None,
    "project": None,
}


def test_the_settings_are_those_of_the_table_with_its_defaults() -> None:
    assert dataclasses.asdict(Settings()) == DEFAULTS


def test_type_checkers_know_the_settings_as_they_are_declared() -> None:
    assert list(SettingsKeywords.__annotations__) == [f.name for f in dataclasses.fields(Settings)]
    assert SettingsKeywords.__total__ is False


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().eps = 1e-7  # type: ignore[misc]


def test_settings_print_as_the_call_that_makes_them() -> None:
    settings = Settings(mode="full", only="W*", bug=0.5)
    assert repr(settings).startswith("Settings(mode='full', eps=None, noise=None, suspect=1e-05, ")
    assert eval(repr(settings)) == settings


GOOD: list[tuple[str, Any, Any]] = [
    ("mode", "full", "full"),
    ("search_calls", 0, 0),
    ("mode", "sample", "sample"),
    ("mode", "probe", "probe"),
    ("eps", 1e-7, 1e-7),
    ("eps", np.float32(0.5), 0.5),
    ("eps", 1, 1.0),
    ("noise", 1e-6, 1e-6),
    ("suspect", 1e-6, 1e-6),
    ("suspect", 1e-3, 1e-3),
    ("bug", 1e-2, 1e-2),
    ("fail_on", "bug", "bug"),
    ("strict", True, True),
    ("locate", False, False),
    ("seeds", 3, 3),
    ("seeds", np.int64(3), 3),
    ("train", 0, 0),
    ("learning_rate", 1, 1.0),
    ("samples", 1, 1),
    ("probes", 1, 1),
    ("seed", 0, 0),
    ("seed", 2**40, 2**40),
    ("workers", 2, 2),
    ("batched", True, True),
    ("only", "W*", ("W*",)),
    ("only", ["W1", "b1"], ("W1", "b1")),
    ("exclude", ("b*",), ("b*",)),
    ("inplace", True, True),
    ("dropout", "freeze", "freeze"),
    ("disable", {"training": False}, {"training": False}),
]


@pytest.mark.parametrize(("name", "value", "kept"), GOOD)
def test_a_possible_value_is_taken(name: str, value: Any, kept: Any) -> None:
    settings = Settings(**{name: value})
    assert getattr(settings, name) == kept
    assert type(getattr(settings, name)) is type(kept)


BAD: list[tuple[str, Any, str]] = [
    ("mode", "sampled", "mode is one of auto, full, sample, probe, not 'sampled'.*mean 'sample'"),
    ("mode", None, "mode is one of"),
    ("eps", 0, "eps is greater than 0, not 0"),
    ("noise", 0, "noise is greater than 0, not 0"),
    ("noise", "loud", "noise is a finite number, not 'loud'"),
    ("eps", -1e-7, "eps is greater than 0"),
    ("eps", "1e-7", "eps is a finite number, not '1e-7'"),
    ("eps", True, "eps is a finite number, not True"),
    ("eps", float("nan"), "eps is a finite number"),
    ("eps", float("inf"), "eps is a finite number"),
    ("eps", 10**400, "eps is a finite number"),
    ("eps", np.ones(2), "eps is a finite number"),
    ("suspect", 0, "suspect is greater than 0"),
    ("suspect", 1e-2, r"suspect \(0.01\) is no larger than bug \(0.001\)"),
    ("bug", 1e-6, r"suspect \(1e-05\) is no larger than bug \(1e-06\)"),
    ("bug", -1, "bug is greater than 0"),
    ("fail_on", "bugs", "fail_on is one of suspect, bug, not 'bugs'.*mean 'bug'"),
    ("strict", 1, "strict is True or False, not 1"),
    ("seeds", 0, "seeds is at least 1, not 0"),
    ("seeds", 1.5, "seeds is a whole number, not 1.5"),
    ("seeds", True, "seeds is a whole number"),
    ("train", -1, "train is at least 0"),
    ("learning_rate", 0, "learning_rate is greater than 0"),
    ("samples", 0, "samples is at least 1"),
    ("search_calls", -1, "search_calls is at least 0, not -1"),
    ("probes", 0, "probes is at least 1"),
    ("seed", -1, "seed is at least 0"),
    ("seed", "1", "seed is a whole number"),
    ("workers", 0, "workers is at least 1"),
    ("batched", "yes", "batched is True or False"),
    ("only", 3, "only takes a name or a list of names, not 3"),
    ("exclude", [1], "exclude takes a name or a list of names"),
    ("inplace", 1, "inplace is True or False"),
    ("disable", "training", "disable maps names of data"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_an_impossible_value_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as error:
        Settings(**{name: value})
    assert error.value.code == "bad-setting"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("esp", "eps"),
        ("epsilon", "eps"),
        ("failon", "fail_on"),
        ("fail-on", "fail_on"),
        ("seeed", "seed"),
        ("learningrate", "learning_rate"),
        ("in_place", "inplace"),
        ("regularisation", "regularization"),
        ("sample", "samples"),
        ("includes", "exclude"),
    ],
)
def test_an_unknown_setting_comes_with_the_nearest_right_name(typed: str, meant: str) -> None:
    with pytest.raises(ProblemError, match=f"'{typed}' .did you mean '{meant}'") as error:
        resolve([("call", {typed: 1})])
    assert error.value.code == "bad-setting"


def test_settings_made_by_hand_refuse_an_unknown_name_as_a_call_does() -> None:
    with pytest.raises(ProblemError, match=r"'suspct' \(did you mean 'suspect'"):
        Settings(**{"suspct": 1e-4})  # type: ignore[arg-type]


def test_settings_are_equal_where_all_values_are() -> None:
    assert Settings(only="W1") == Settings(only=["W1"])
    assert Settings(bug=1e-2) != Settings()
    assert Settings() != "mode"


def test_an_unknown_setting_like_no_other_comes_with_all_names() -> None:
    message = unknown_name(["zzz"])
    assert message is not None
    assert "did you mean" not in message
    assert all(name in message for name in DEFAULTS)


def test_args_as_a_keyword_are_shown_the_way() -> None:
    with pytest.raises(ProblemError, match=r"args is no setting: .* by position") as error:
        check_gradients(np.sum, np.ones_like, np.ones(2), args=(1,))  # type: ignore[call-arg]
    assert error.value.code == "bad-setting"


def test_known_names_are_no_complaint() -> None:
    assert unknown_name(DEFAULTS) is None
    assert unknown_name(["cost", "eps"], ["cost"]) is None


def test_a_stronger_source_wins_and_the_origin_is_reported() -> None:
    layers: list[tuple[str, dict[str, object]]] = [
        ("ini", {"bug": 1e-2, "seeds": 2, "fail_on": "bug"}),
        ("command line", {"bug": None, "seeds": 3, "fail_on": None}),
        ("marker", {"fail_on": "suspect"}),
        ("call", {}),
    ]
    settings, origins = resolve(layers)
    assert (settings.bug, settings.seeds, settings.fail_on) == (1e-2, 3, "suspect")
    assert origins == {"bug": "ini", "seeds": "command line", "fail_on": "marker"}


def test_an_impossible_value_tells_where_it_came_from() -> None:
    with pytest.raises(ProblemError, match=r"seeds is at least 1, not 0 \(from the ini\)"):
        resolve([("ini", {"seeds": 0}), ("call", {"eps": 1.0})])


def test_merging_lets_the_later_win() -> None:
    assert merge([{"eps": 1, "bug": 2}, {"eps": 3}]) == {"eps": 3, "bug": 2}


def test_nothing_near_is_no_hint() -> None:
    assert nearest("zzz", ["eps"]) == ""


def pair(scale: float) -> tuple[Any, Any, dict[str, Any]]:
    """Return a pair whose gradient of W is `scale` times the right one."""
    return (
        lambda p: float(np.sum(p["W"] ** 2) + np.sum(p["b"] ** 2)),
        lambda p: {"W": scale * 2 * p["W"], "b": 2 * p["b"]},
        {"W": np.arange(1.0, 5.0), "b": np.ones(2)},
    )


@pytest.mark.parametrize(
    ("scale", "settings", "passed", "verdict"),
    [
        (1 + 1e-4, {}, False, "suspect"),
        (1 + 1e-4, {"fail_on": "bug"}, True, "suspect"),
        (1 + 1e-4, {"fail_on": "bug", "strict": True}, False, "suspect"),
        (1 + 1e-4, {"suspect": 1e-4}, True, "ok"),
        (1 + 1e-4, {"bug": 2e-5}, False, "bug"),
        (1.01, {"fail_on": "bug"}, False, "bug"),
        (1.01, {"bug": 0.1, "fail_on": "bug"}, True, "suspect"),
        (1.01, {"only": "b"}, True, "ok"),
        (1.01, {"exclude": "W"}, True, "ok"),
        (1.01, {"exclude": "b"}, False, "bug"),
    ],
)
def test_thresholds_and_selections_decide(
    scale: float, settings: dict[str, Any], passed: bool, verdict: str
) -> None:
    report = check_gradients(*pair(scale), **settings)
    assert (report.passed, report.verdict) == (passed, verdict)


def test_strict_fails_what_tested_nothing() -> None:
    def check(**settings: Any) -> Any:
        return check_gradients(lambda w: 1.0, lambda w: 0 * w, np.ones(2), **settings)

    assert check().passed
    assert not check(strict=True).passed


def test_sampling_takes_some_of_every_parameter() -> None:
    params = {"W": np.arange(1.0, 101.0), "b": np.ones(3)}
    report = check_gradients(*pair(1.0)[:2], params, mode="sample", samples=7)
    assert [(p.name, p.size, p.checked) for p in report.parameters] == [("W", 100, 7), ("b", 3, 3)]
    assert [sum(p.counts.values()) for p in report.parameters] == [7, 3]
    assert report.components == ()
    assert report.passed


@pytest.mark.parametrize(("size", "checked"), [(10_000, 10_000), (10_001, 20)])
def test_auto_takes_every_component_up_to_ten_thousand(size: int, checked: int) -> None:
    weights = np.linspace(1, 2, size)
    report = check_gradients(
        lambda w: float(weights @ w), lambda w: weights, np.ones(size), mode="auto"
    )
    assert report.parameters[0].checked == checked
    assert report.passed


def test_the_seed_repeats_the_sample() -> None:
    def sampled(seed: int) -> set[tuple[int, ...]]:
        report = check_gradients(
            lambda w: float(w @ w), lambda w: 3 * w, np.arange(1.0, 500.0), mode="sample", seed=seed
        )
        return {component.index for component in report.components}

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)
