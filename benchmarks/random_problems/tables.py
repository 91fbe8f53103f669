"""Tables of outcomes: by condition, by call shape, by fault, and the failures with their seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .running import FAILURES, Outcome

__all__ = ["failures", "naming", "table"]

COLUMNS = (
    *("problems", "right", "visible"),
    *("cried", "missed", "misnamed", "crashed", "refused"),
    *("unseen", "open", "undecided", "calls/2n"),
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
    undecided = 100 * sum(one.undecided for one in outcomes) / max(size, 1)
    ratio = sum(one.calls for one in outcomes) / max(2 * size, 1)
    cells = [
        str(len(outcomes)),
        str(labels.count("right") + labels.count("invisible")),
        str(labels.count("visible")),
        *(str(results.count(failure) or "") for failure in FAILURES),
        str(results.count("unseen") or ""),
        str(results.count("open") or ""),
        f"{undecided:.2f} %",
        f"{ratio:.2f}",
    ]
    return "  ".join(f"{cell:>9}" for cell in cells)


def naming(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of a table of causes by kind of fault: named right, wrong, or not at all."""
    yield f"{'fault':20}{'found':>8}{'right':>8}{'wrong':>8}{'not':>8}"
    for fault in sorted({one.fault for one in outcomes}):
        said = [one.named for one in outcomes if one.fault == fault and one.named]
        counts = [said.count(word) for word in ("right", "wrong", "not")]
        if said:
            yield f"{fault:20}{len(said):8}" + "".join(f"{count or '':>8}" for count in counts)


def failures(outcomes: Sequence[Outcome], most: int) -> Iterator[str]:
    """Yield a line for every failure, with the seed that shows it."""
    for result in (*FAILURES, "unseen"):
        found = [one for one in outcomes if one.result == result]
        for one in found[:most]:
            yield (
                f"{result:12}{one.seed:>8}  {one.condition}, {one.shape}, fault: {one.fault} "
                f"({one.label}); {one.detail[:150]}"
            )
        if len(found) > most:
            yield f"{result:12}and {len(found) - most} more"
