"""What can be set about a check: every setting's name, default, kind and help, as a table.

pytest loads it at every start, to declare the options of the plugin, hence plain tuples.
`Settings`, which is made of it, costs more to load, and waits until something is set or checked.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MARK", "PAIR_NAMES", "SETTINGS"]

MARK = "gradcheck"
"""The name of the marker."""

PAIR_NAMES = ("cost", "grad", "params", "args", "data")
"""What a marker may name beside settings: the parts of the pair."""

Row = tuple[str, Any, str, str, tuple[str, ...]]

SETTINGS: tuple[Row, ...] = (
    (
        "mode",
        "auto",
        "choice",
        "full: every component; sample: some of every parameter; probe: random directions, then a "
        "search for what is wrong; auto: full up to 10,000 components, else probe and sample "
        "(default: auto)",
        ("auto", "full", "sample", "probe"),
    ),
    ("eps", None, "float", "fixed step of the classical check (default: a step per component)", ()),
    (
        "suspect",
        1e-5,
        "float",
        "relative error beyond which a component is suspect (default: 1e-5)",
        (),
    ),
    ("bug", 1e-3, "float", "relative error beyond which a component is a bug (default: 1e-3)", ()),
    (
        "fail_on",
        "suspect",
        "choice",
        "the mildest verdict that fails (default: suspect)",
        ("suspect", "bug"),
    ),
    (
        "strict",
        False,
        "bool",
        "also fail kinks, inconclusive components, vacuous checks and markers that checked nothing",
        (),
    ),
    (
        "seeds",
        1,
        "int",
        "random initializations to check at; params must be a callable (default: 1)",
        (),
    ),
    ("train", 0, "int", "steps of gradient descent after which to check again (default: 0)", ()),
    ("learning_rate", 0.1, "float", "step size of that descent (default: 0.1)", ()),
    (
        "samples",
        20,
        "int",
        "components differenced in each parameter when sampling (default: 20)",
        (),
    ),
    (
        "probes",
        4,
        "int",
        "random directions over all parameters, besides one over each (default: 4)",
        (),
    ),
    (
        "search_calls",
        4000,
        "int",
        "cost calls that a search for wrong components may take (default: 4000)",
        (),
    ),
    ("seed", None, "int", "seed of every random choice (default: from the test's name)", ()),
    ("workers", 1, "int", "joblib workers that share the components (default: 1)", ()),
    (
        "batched",
        False,
        "bool",
        "the cost takes a leading axis of many thetas and returns a vector",
        (),
    ),
    ("only", (), "names", "names or glob patterns of the parameters to check (default: all)", ()),
    (
        "exclude",
        (),
        "names",
        "names or glob patterns of parameters to leave out (default: none)",
        (),
    ),
    ("inplace", False, "code", "", ()),
    ("dropout", None, "code", "", ()),
    ("disable", None, "code", "", ()),
    ("regularization", None, "code", "", ()),
)
"""Name, default, kind, help and choices of every setting.

Unless its kind is "code", it is an option and an ini key as well.
"""
