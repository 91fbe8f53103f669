"""A report as text for the terminal: the answer first, then how much and where.

It has at most 60 lines for any size of the problem, no line wider than the style, and plain ASCII
if the style is. Sentences are wrapped and tables drop columns; no figure is cut.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from pytest_gradcheck.context import Style
from pytest_gradcheck.report.answer import (
    answer,
    explanation,
    figure,
    figure_words,
    place,
    ratio,
)
from pytest_gradcheck.report.map import best_map
from pytest_gradcheck.report.report import (
    VERDICTS,
    Component,
    Finding,
    ParameterReport,
    PointReport,
    Report,
    failing,
)

__all__ = ["failure_text", "fitted", "headline", "plain_ascii"]

LINES = 60
PARAMETERS = 20
COMPONENTS = 10
POINTS = 6
FINDINGS = 6
OUTPUTS = 6

GAP = "  "
SHORTEST = 12
"""A table drops other columns before names get shorter than this."""

LONGEST = 28
"""Columns of a name in a sentence of several lines."""

CLAUSE = ",;:"
"""Marks at the end of a clause."""

PREFIX = 23 - 8
"""pytest puts ``E       GradientError: `` before the first line, and only its margin of 8 before
the others, which the style's width already allows for."""

DIGITS = (7, 5, 4, 3)
"""Digits of values in a table: the most that fit."""

MARK = "  <- "
"""The mark before a remark on a line of code."""

UNBOUNDED = 10_000
"""A width at which nothing is shortened."""

HELD = "\N{NO-BREAK SPACE}"
"""Placeholder for a space without a line break."""

SHORTER = ("the numerical gradient", "the numerical one")
"""Words and their short forms, to make room for a place beside them."""

VERB = re.compile(" (?:is|are|should) ")
"""The verb after the names in a sentence."""

BRACKETS = re.compile(r" \([^()]*\)")

ASCII = str.maketrans({"×": "x", "…": "~", "─": "-"})


def failure_text(report: Report, style: Style) -> str:
    """Return the whole text of a report.

    Examples
    --------
    >>> from pytest_gradcheck import check_gradients
    >>> report = check_gradients(lambda x: x * x, lambda x: 6 * x, 2.0)
    >>> print(str(report).splitlines()[0])
    bug at theta: 3.000 x the numerical gradient
    """
    point = report.worst_point
    sentence = _squeezed(answer(report), report, style.width - PREFIX, LONGEST)
    cause = explanation(report)
    code = "" if cause is None else cause.code
    lines = [
        *_first(sentence, place(report), code, style),
        *_context(report, point, style.width),
        "",
    ]
    others = list(_others(report, point, style.width))
    lines += [*others, ""] if others else []
    lines += _parameter_table(point, style.width)
    lines += _output_table(point, style.width)
    if point.components:
        lines += ["", *_component_table(point, style.width)]
    drawn = best_map(point, style)
    if drawn and len(lines) + len(drawn) < LINES:
        lines += ["", *drawn]
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], "…"]
    return "\n".join(fitted(line, style) for line in lines)


def plain_ascii(text: str) -> str:
    """Return `text` in characters that an ASCII terminal can show."""
    return text.translate(ASCII).encode("ascii", "backslashreplace").decode()


def fitted(line: str, style: Style) -> str:
    """Return a line of a report in a style, cut to its width."""
    if style.ascii:
        return plain_ascii(_cut(plain_ascii(line), style.width))
    return _cut(line, style.width)


def headline(report: Report, width: int) -> str:
    """Return the answer in one line of at most `width` columns.

    Names are shortened first, then words are left out; no figure is cut.
    """
    sentence = _squeezed(answer(report), report, width)
    if len(sentence) <= width:
        return sentence
    end = place(report) if len(place(report)) < width // 2 else ""
    words = sentence[: width - len(end)].rsplit(" ", 1)[0]
    return f"{words[: width - 2 - len(end)].rstrip(' :;,')} …{end}"


def _first(sentence: str, end: str, code: str, style: Style) -> list[str]:
    """Return the answer, wrapped; pytest prints its first line behind the exception's name.

    The place is on that line, behind the observation or its first clause, and replaces a remark in
    brackets. If that does not fit, the line has the code of the cause and the place, and the
    sentence follows: half of an observation may say the opposite.
    """
    sentence = plain_ascii(sentence) if style.ascii else sentence
    width = max(style.width - PREFIX, 5)
    if len(sentence) <= width:
        return [sentence]
    body, room = sentence.removesuffix(end), width - len(end)
    seen, colon, why = body.partition(": ")
    for said in (seen, BRACKETS.sub("", seen), seen.replace(*SHORTER)):
        if end and colon and len(said) < room:
            return [f"{said}{end}:", *_wrapped(why, style.width, "  ")]
    clause = _clause(_wrapped(body, room)[0]) if end and room >= SHORTEST else ""
    if clause:
        rest = body[len(clause) :].strip()
        return [f"{clause[:-1]}{end}{clause[-1]}", *_wrapped(rest, style.width, "  ")]
    short = f"{VERB.split(body)[0]}: {code}"
    if end and code and len(short) < room:
        return [f"{short}{end}:", *_wrapped(body, style.width, "  ")]
    first, *_ = _wrapped(sentence, width)
    rest = sentence[len(first) :].strip()
    return [first, *_wrapped(rest, style.width, "  ")] if rest else [first]


def _clause(text: str) -> str:
    """Return the clauses that fit, if they are most of the text, else an empty string."""
    ends = [at + 1 for at, mark in enumerate(text) if mark in CLAUSE and text[at + 1 :][:1] == " "]
    long_enough = [at for at in ends if 2 * at >= len(text) or at >= SHORTEST]
    return text[: long_enough[-1]] if long_enough else ""


def _squeezed(sentence: str, report: Report, width: int, least: int = SHORTEST) -> str:
    """Return a sentence, with names shortened in their middles if it is too long."""
    cause = explanation(report)
    names = [c.name for c in report.components[:1]] if cause is None else list(cause.parameters)
    for name in sorted(names, key=len, reverse=True):
        over = len(sentence) - width
        if over > 0 and name in sentence:
            sentence = sentence.replace(name, _middle(name, max(least, len(name) - over)), 1)
    return sentence


def _context(report: Report, point: PointReport, width: int) -> Iterator[str]:
    """Yield the number of wrong components, the point, and the calls."""
    yield from _wrapped(_totals(report, point), width)
    checked = sum(parameter.checked for parameter in point.parameters)
    covered = sum(parameter.covered for parameter in point.parameters)
    seen = f"{covered:,} seen along random directions; " if covered > checked else ""
    yield from _wrapped(f"{seen}{report.evaluations} cost calls, seed {report.seed}", width)
    for note in report.notes:
        yield from _wrapped(note, width)
    if len(report.points) > 1:
        for other in report.points[:POINTS]:
            yield from _wrapped(_point(other, other is point), width)
        if len(report.points) > POINTS:
            yield f"… and {len(report.points) - POINTS} more points"


def _totals(report: Report, point: PointReport) -> str:
    """Return the numbers of wrong and of all components, and the worst one."""
    totals: dict[str, int] = {}
    for parameter in point.parameters:
        for verdict, count in parameter.counts.items():
            totals[verdict] = totals.get(verdict, 0) + count
    checked = sum(parameter.checked for parameter in point.parameters)
    size = sum(parameter.size for parameter in point.parameters)
    off = [f"{totals[word]} {word}" for word in reversed(VERDICTS[1:]) if totals.get(word)]
    of = f"{checked}" if checked == size else f"{checked} looked at ({size} in all)"
    said = [f"{', '.join(off) or 'none wrong'}, of {of}"]
    if point.components and point.components[0].verdict in failing(report.settings):
        said.append(f"the worst is {point.components[0].name}")
    cause = explanation(report)
    if cause is not None:
        said.append(f"cause: {cause.code}")
    said.append(figure_words(point))
    where = f"{point.name}: " if len(report.points) > 1 else ""
    return where + "; ".join(said)


def _point(point: PointReport, shown: bool) -> str:
    word = "ok  " if point.passed else "FAIL"
    return (
        f"{word} {point.name}: {point.verdict}, relative error {figure(point.relative_error)}"
        f"{' (shown)' if shown else ''}"
    )


def _others(report: Report, point: PointReport, width: int) -> Iterator[str]:
    """Yield the findings except the answer."""
    answered = explanation(report)
    shown = [finding for finding in _distinct(report.findings) if not _is(finding, answered)]
    for finding in shown[:FINDINGS]:
        at = f" (at {finding.point})" if finding.point != point.name else ""
        sentence, *excerpt = finding.message.splitlines()
        yield from _wrapped(f"{finding.severity} ({finding.code}): {sentence}{at}", width)
        yield from (_marked(line, width) for line in excerpt)
    if len(shown) > FINDINGS:
        yield f"… and {len(shown) - FINDINGS} more findings"


def _marked(line: str, width: int) -> str:
    """Return a line of code with its remark; of a long line only the arrow is kept."""
    code, arrow, _ = line.partition(MARK)
    if not arrow or len(line) <= width:
        return line
    return _cut(code, width - len(arrow.rstrip())) + arrow.rstrip()


def _is(finding: Finding, other: Finding | None) -> bool:
    return other is not None and (finding.code, finding.message) == (other.code, other.message)


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings without duplicates from other points."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        found.setdefault((finding.code, finding.message), finding)
    return list(found.values())


def _parameter_table(point: PointReport, width: int) -> list[str]:
    rows = list(point.parameters)
    left_out = ""
    if len(rows) > PARAMETERS:
        rows = sorted(rows, key=_badness)[:PARAMETERS]
        left_out = f"… and {len(point.parameters) - PARAMETERS} more parameters, none worse"
    lines = _report_table("parameter", rows, width)
    return [*lines, left_out] if left_out else lines


def _output_table(point: PointReport, width: int) -> list[str]:
    """Return a row for each output if these are few, else rows of the wrong ones."""
    rows, (count, _) = point.outputs, point.matrix or (0, 0)
    if count > OUTPUTS:
        rows = tuple(row for row in rows if row.verdict != "ok")
    if count < 2 or not 0 < len(rows) <= OUTPUTS:
        return []
    return ["", *_report_table("output", rows, width)]


def _report_table(what: str, rows: Sequence[ParameterReport], width: int) -> list[str]:
    return _table(
        (what, "shape", "checked", "not ok", "rel. error", "verdict"),
        [
            (
                row.name,
                "x".join(map(str, row.shape)) or "scalar",
                str(row.checked),
                str(row.checked - row.counts["ok"]),
                figure(row.relative_error),
                row.verdict,
            )
            for row in rows
        ],
        "lrrrrl",
        width,
        ("shape", "checked", "not ok"),
    )


def _badness(row: ParameterReport) -> tuple[int, float]:
    return -VERDICTS.index(row.verdict), -row.relative_error


def _component_table(point: PointReport, width: int) -> list[str]:
    """Return the worst components; those of one ratio share a row."""
    groups = _alike(point.components)
    shown = groups[:COMPONENTS]
    head = ("worst", "analytic", "numerical", "ratio", "rel. error", "verdict")
    spare = ("rel. error", "verdict", "ratio")
    # Drop digits first, then letters of names, then the last digits.
    tries = [(UNBOUNDED, digits) for digits in DIGITS[:-1]] + [(width, digits) for digits in DIGITS]
    for room, digits in tries:
        rows = [_row(group, digits) for group in shown]
        lines = _table(head, rows, "lrrrrl", room, spare, LONGEST)
        if all(len(line) <= width for line in lines):
            break
    total = sum(row.checked - row.counts["ok"] for row in point.parameters)
    count = sum(map(len, shown))
    if total > count:
        lines.append(f"… and {total - count} more")
    return lines


def _alike(components: Sequence[Component]) -> list[list[Component]]:
    """Group components by parameter, verdict and ratio."""
    groups: dict[tuple[str, ...], list[Component]] = {}
    for component in components:
        said = ratio(component)
        key = (component.parameter, component.verdict, said or component.name)
        groups.setdefault(key, []).append(component)
    return list(groups.values())


def _row(group: Sequence[Component], digits: int) -> tuple[str, ...]:
    worst = group[0]
    return (
        worst.name + (f", {len(group) - 1} more" if len(group) > 1 else ""),
        f"{worst.analytic + 0.0:.{digits}g}",  # no -0
        f"{worst.numerical + 0.0:.{digits}g}",
        ratio(worst) or "",
        figure(worst.relative_error),
        worst.verdict,
    )


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    align: str,
    width: int,
    spare: Sequence[str],
    least: int = SHORTEST,
) -> list[str]:
    """Return aligned rows under a head, at most `width` wide.

    If names get less than `least`, the columns in `spare` are dropped in their order; then the
    names in the first column are shortened.
    """
    kept = list(range(len(head)))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in kept]

    def room() -> int:
        return width - sum(widths[i] + len(GAP) for i in kept[1:])

    for name in spare:
        if room() < min(widths[0], least):
            kept.remove(head.index(name))
    widths[0] = min(widths[0], max(room(), SHORTEST))
    names = [head[0], *_shortened([row[0] for row in rows], widths[0])]

    def line(name: str, cells: Sequence[str]) -> str:
        texts = [name, *(cells[i] for i in kept[1:])]
        padded = [
            text.ljust(widths[i]) if align[i] == "l" else text.rjust(widths[i])
            for i, text in zip(kept, texts, strict=True)
        ]
        return GAP.join(padded).rstrip()

    return [line(name, cells) for name, cells in zip(names, [head, *rows], strict=True)]


def _shortened(names: Sequence[str], width: int) -> list[str]:
    """Return names at most `width` wide, without their common prefix."""
    if len(names) < 2 or all(len(name) <= width for name in names):
        return [_middle(name, width) for name in names]
    ends = zip(min(names), max(names), strict=False)  # their common prefix is that of all
    shared = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
    common = re.sub(r"\w*$", "", shared)
    return [_middle(f"…{name[len(common) :]}" if common else name, width) for name in names]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return lines of text that do not break within the brackets of a component's name."""
    held = re.sub(r"\[[^\]]*\]", lambda found: found.group().replace(" ", HELD), text)
    lines = textwrap.wrap(held, width, initial_indent=indent, subsequent_indent="  ")
    return [line.replace(HELD, " ") for line in lines]


def _middle(text: str, width: int) -> str:
    """Return `text` shortened in its middle: names differ at their ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
