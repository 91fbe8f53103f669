"""Tables of outcomes: by condition, by call shape, by fault, and the failures with their seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .conditions import SMOOTH_CONDITIONS
from .running import FAILURES, Outcome

__all__ = ["failures", "naming", "table", "undecided"]

LISTED = (*FAILURES, "unseen")

COLUMNS = (
    *("problems", "right", "visible"),
    *("cried", "missed", "misnamed", "crashed", "refused"),
    *("unseen", "blind", "open", "undecided", "calls/2n"),
)


def table(outcomes: Sequence[Outcome], title: str, key: Callable[[Outcome], str]) -> Iterator[str]:
    """Yield the lines of a table with a row a group, and one for all."""
    groups: dict[str, list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault(key(one), []).append(one)
    width = max([len(title), *map(len, groups)])
    yield f"{title:{width}}  " + "  ".join(f"{column:>9}" for column in COLUMNS)
    for name in sorted(groups):
        yield f"{name:{width}}  " + _row(groups[name])
    if len(groups) > 1:
        yield f"{'all':{width}}  " + _row(outcomes)


def _row(outcomes: Sequence[Outcome]) -> str:
    results = [one.result for one in outcomes]
    labels = [one.label for one in outcomes]
    size = sum(one.components for one in outcomes if one.calls)
    judged = sum(one.judged for one in outcomes)
    open_share = 100 * sum(one.undecided for one in outcomes) / max(judged, 1)
    ratio = sum(one.calls for one in outcomes) / max(2 * size, 1)
    cells = [
        str(len(outcomes)),
        str(labels.count("right") + labels.count("invisible")),
        str(labels.count("visible")),
        *(str(results.count(failure) or "") for failure in FAILURES),
        str(results.count("unseen") or ""),
        str(results.count("blind") or ""),
        str(results.count("open") or ""),
        f"{open_share:.2f} %",
        f"{ratio:.2f}",
    ]
    return "  ".join(f"{cell:>9}" for cell in cells)


def undecided(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line each on the components that were not decided, by what they had to do with."""
    kinds = {"in float64, smooth": True, "at kinks, in float32, noisy": False}
    for kind, smooth in kinds.items():
        for said, labels in {"right": ("right", "invisible"), "wrong": ("visible", "grey")}.items():
            chosen = [
                one
                for one in outcomes
                if one.calls
                and (one.condition in SMOOTH_CONDITIONS) == smooth
                and one.label in labels
            ]
            share = sum(one.undecided for one in chosen) / max(sum(one.judged for one in chosen), 1)
            yield f"undecided, {kind}, where the gradient is {said}: {100 * share:.2f} %"


def naming(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of a table of causes by kind of fault: right, wrong, due, or none to name."""
    words = ("right", "wrong", "due", "not")
    yield f"{'fault found':20}" + "".join(f"{word:>8}" for word in words)
    named = [one for one in outcomes if one.named]
    for fault in [*sorted({one.fault for one in named}), "all"]:
        said = [one.named for one in named if fault in (one.fault, "all")]
        yield f"{fault:20}" + "".join(f"{said.count(word) or '':>8}" for word in words)


def failures(outcomes: Sequence[Outcome], most: int) -> Iterator[str]:
    """Yield a line for every failure, with the seed that shows it."""
    kinds = {result: [one for one in outcomes if one.result == result] for result in LISTED}
    kinds["named wrong"] = [one for one in outcomes if one.named == "wrong"]
    for result, found in kinds.items():
        for one in found[:most]:
            yield (
                f"{result:12}{one.seed:>8}  {one.condition}, {one.shape}, fault: {one.fault} "
                f"({one.label}); {one.detail[:150]}"
            )
        if len(found) > most:
            yield f"{result:12}and {len(found) - most} more"
