"""The causes of a matrix: of the whole, of rows and columns, of parameters' blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from pytest_gradcheck.diagnosis.hypotheses import Hypothesis, Rule, comes_true, information, is_sure
from pytest_gradcheck.diagnosis.jacobian import lines, places
from pytest_gradcheck.diagnosis.jacobian.evidence import MatrixPart, Scene
from pytest_gradcheck.diagnosis.rules.places import shifted, transposed
from pytest_gradcheck.diagnosis.rules.values import factor, offset, sign, transformed, zero
from pytest_gradcheck.report.report import Finding

__all__ = ["matrix_causes"]

WHOLE: tuple[Rule, ...] = (zero, sign, factor, transposed)
"""Rules of gradients that are tried on the whole matrix and on the block of each parameter."""

MOVED: tuple[Rule, ...] = (shifted, offset, transformed)
"""Like `WHOLE`, but less usual than a wrong row or column, and so tried after those."""

Maker = Callable[[], Iterator[Hypothesis]]
"""Makes the hypotheses of one cause."""

LINES: tuple[Callable[[Scene], Iterator[Hypothesis]], ...] = (
    lines.conjugated,
    places.exchanged,
    places.triangle,
    places.off_diagonal,
    lines.by_row,
    lines.by_column,
)


def matrix_causes(scene: Scene, point: str) -> tuple[Finding, ...]:
    """Return the causes of a wrong matrix that are sure."""
    whole = scene.whole
    if not whole.is_legible:
        return ()
    blocks = _blocks(scene)
    found = _first(scene, list(_of_rules(WHOLE, whole, scene)))
    if found is None and len(blocks) > 1:
        of_blocks = _of_blocks(scene, blocks, point)
        if of_blocks:
            return of_blocks
    if found is None:
        makers: list[Maker] = [partial(maker, scene) for maker in LINES]
        found = _first(scene, makers)
    if found is None:
        rest = list(_of_rules(MOVED, whole, scene))
        rest += [partial(places.gauss_newton, scene), partial(places.where, scene)]
        found = _first(scene, rest)
    return () if found is None else (_worded(found, scene, scene.matrix_name, None, point),)


def _of_rules(rules: Sequence[Rule], part: MatrixPart, scene: Scene) -> Iterator[Maker]:
    """Yield makers of hypotheses from rules of gradients, with their codes."""
    for rule in rules:
        yield partial(_coded, rule, part, scene)


def _coded(rule: Rule, part: MatrixPart, scene: Scene) -> Iterator[Hypothesis]:
    for hypothesis in rule.hypotheses(part, scene.evidence):
        yield hypothesis.but(
            observation=f"is {hypothesis.observation}",
            code=hypothesis.code or rule.code,
            why=hypothesis.why or rule.why,
        )


def _first(
    scene: Scene,
    makers: Sequence[Maker],
    part: MatrixPart | None = None,
) -> Hypothesis | None:
    """Return the first hypothesis that holds for every entry and excludes chance."""
    mine = scene.whole if part is None else part
    for maker in makers:
        with scene.evidence.clues.guard.of(f"the rule {_name(maker)}"):
            for hypothesis in maker():
                true = comes_true(mine, hypothesis)
                if true and is_sure(information(mine, hypothesis), hypothesis):
                    return hypothesis
    return None


def _name(maker: Maker) -> str:
    function = maker.func if isinstance(maker, partial) else maker
    return str(getattr(function, "__name__", function))


def _blocks(scene: Scene) -> list[tuple[str, MatrixPart]]:
    """Return the columns of each parameter, as parts of their own."""
    whole, theta = scene.whole, scene.theta
    owners = theta.owners(whole.columns)
    found = []
    for number in np.unique(owners).tolist():
        parameter = theta.parameters[number]
        kept = owners == number
        rows = np.unique(whole.rows[kept]).size
        shape = (rows, int(np.count_nonzero(kept)) // rows)
        if len(whole.shape) != 2:
            shape = (int(np.count_nonzero(kept)), 1)
        found.append((parameter.name, whole.of(kept, parameter.name, shape)))
    return found


def _of_blocks(
    scene: Scene, blocks: Sequence[tuple[str, MatrixPart]], point: str
) -> tuple[Finding, ...]:
    """Return the causes of the blocks of parameters, where each that is wrong has one."""
    wrong = [(name, part) for name, part in blocks if part.n_wrong]
    if len(wrong) == len(blocks) and len(blocks) < 2:
        return ()
    found = []
    for name, part in wrong:
        if part.n_right:
            return ()  # a row, a column or an entry, and not all of the parameter
        hypothesis = _first(scene, list(_of_rules((*WHOLE, *MOVED), part, scene)), part)
        if hypothesis is None:
            return ()
        label = f"{scene.matrix_name} in the columns of {name}"
        found.append(_worded(hypothesis, scene, label, name, point))
    return tuple(found)


def _worded(
    hypothesis: Hypothesis, scene: Scene, label: str, parameter: str | None, point: str
) -> Finding:
    said = hypothesis.observation
    if scene.numerical_name not in said:  # words of a rule for gradients
        said = said.replace("the numerical gradient", scene.numerical_name)
    message = f"{label} {said}{f': {hypothesis.why}' if hypothesis.why else ''}"
    code = hypothesis.code or "partial"
    explained = (parameter,) if parameter else scene.wrong_parameters
    return Finding.cause(
        code,
        message,
        parameter=parameter,
        factor=hypothesis.factor,
        point=point,
        parameters=explained,
    )
