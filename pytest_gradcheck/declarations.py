"""What can be set about a check: every setting's name, default, kind and help, as a table.

pytest loads it at every start, to declare the options of the plugin. `Settings`, which is made of
it, costs more to load, and waits until something is set or checked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["PAIR_NAMES", "SETTINGS", "Setting"]

PAIR_NAMES = ("cost", "grad", "params", "args", "data")
"""What a marker may name beside settings: the parts of the pair."""


class Setting(NamedTuple):
    """A setting; unless its kind is "code", it is an option and an ini key as well."""

    name: str
    default: Any
    kind: str
    help: str = ""
    choices: tuple[str, ...] = ()


SETTINGS = (
    Setting(
        "mode",
        "auto",
        "choice",
        "full: every component; sample: some of every parameter; probe: random directions, then a "
        "search for what is wrong; auto: full up to 10,000 components, else probe and sample "
        "(default: auto)",
        ("auto", "full", "sample", "probe"),
    ),
    Setting(
        "eps", None, "float", "fixed step of the classical check (default: a step per component)"
    ),
    Setting(
        "suspect",
        1e-5,
        "float",
        "relative error beyond which a component is suspect (default: 1e-5)",
    ),
    Setting(
        "bug", 1e-3, "float", "relative error beyond which a component is a bug (default: 1e-3)"
    ),
    Setting(
        "fail_on",
        "suspect",
        "choice",
        "the mildest verdict that fails (default: suspect)",
        ("suspect", "bug"),
    ),
    Setting(
        "strict",
        False,
        "bool",
        "also fail kinks, inconclusive components, vacuous checks and markers that checked nothing",
    ),
    Setting(
        "seeds",
        1,
        "int",
        "random initializations to check at; params must be a callable (default: 1)",
    ),
    Setting("train", 0, "int", "steps of gradient descent after which to check again (default: 0)"),
    Setting("learning_rate", 0.1, "float", "step size of that descent (default: 0.1)"),
    Setting(
        "samples", 20, "int", "components differenced in each parameter when sampling (default: 20)"
    ),
    Setting(
        "probes",
        4,
        "int",
        "random directions over all parameters, besides one over each (default: 4)",
    ),
    Setting(
        "search_calls",
        4000,
        "int",
        "cost calls that a search for wrong components may take (default: 4000)",
    ),
    Setting("seed", None, "int", "seed of every random choice (default: from the test's name)"),
    Setting("workers", 1, "int", "joblib workers that share the components (default: 1)"),
    Setting(
        "batched",
        False,
        "bool",
        "the cost takes a leading axis of many thetas and returns a vector",
    ),
    Setting(
        "only", (), "names", "names or glob patterns of the parameters to check (default: all)"
    ),
    Setting(
        "exclude", (), "names", "names or glob patterns of parameters to leave out (default: none)"
    ),
    Setting("inplace", False, "code"),
    Setting("dropout", None, "code"),
    Setting("disable", None, "code"),
    Setting("regularization", None, "code"),
)
