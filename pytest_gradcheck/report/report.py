"""The result of a check, as frozen dataclasses of plain Python types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Protocol

from pytest_gradcheck.context import Style
from pytest_gradcheck.errors import Guard
from pytest_gradcheck.settings import Settings

__all__ = [
    "VERDICTS",
    "Component",
    "Finding",
    "ParameterReport",
    "PointReport",
    "Report",
    "badness",
    "band",
    "failing",
]

VERDICTS = ("ok", "inconclusive", "kink", "suspect", "bug", "nonfinite")
"""From best to worst; parameters and reports take their worst."""

BANDS = ((1e-7, "great"), (1e-5, "good"), (1e-3, "look closer"), (math.inf, "bug"))


@dataclass(frozen=True)
class Component:
    """One component that is not ok.

    Attributes
    ----------
    parameter, name : str
        ``W1`` and ``W1[3, 7]``.
    index : tuple of int
        Within the parameter; empty for a scalar.
    analytic, numerical : float
        The user's gradient and its approximation.
    error_bar : float
        Of the approximation, safety factor included.
    relative_error : float
        Beyond the error bar.
    verdict : str
    point : str
        The name of its point.
    output : str or None
        In Jacobians and pushforwards, the output that it is a derivative of: ``out[3]``.
    entry : (int, int) or None
        In Jacobians and pushforwards, its row and column in the matrix of all outputs by all of
        theta.
    """

    parameter: str
    index: tuple[int, ...]
    name: str
    analytic: float
    numerical: float
    error_bar: float
    relative_error: float
    verdict: str
    point: str
    output: str | None = None
    entry: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """A cause that the pattern of errors gives away, or a warning.

    Attributes
    ----------
    code : str
        ``scale``, ``sign``, ``zero``, … or, as a warning, ``kink``, ``vacuous``, ``precision``, ….
    severity : str
        ``cause`` or ``warning``.
    parameter : str or None
    message : str
        The observation, in numbers, and its usual reason.
    factor : float or None
    point : str
    where : (str, int) or None
        Its file and line.
    parameters : tuple of str
        The parameters that it explains.
    """

    code: str
    severity: str
    parameter: str | None
    message: str
    factor: float | None = None
    point: str = "given"
    where: tuple[str, int] | None = None
    parameters: tuple[str, ...] = ()

    @classmethod
    def cause(
        cls,
        code: str,
        message: str,
        *,
        parameter: str | None = None,
        factor: float | None = None,
        point: str = "given",
        parameters: tuple[str, ...] = (),
    ) -> Finding:
        """Return a finding of severity ``cause``.

        Examples
        --------
        >>> Finding.cause("units", "degrees for radians?", parameter="angle").severity
        'cause'
        """
        return cls(code, "cause", parameter, message, factor, point, None, parameters)

    @classmethod
    def warning(
        cls,
        code: str,
        message: str,
        *,
        parameter: str | None = None,
        factor: float | None = None,
        point: str = "given",
    ) -> Finding:
        """Return a finding of severity ``warning``."""
        return cls(code, "warning", parameter, message, factor, point)


@dataclass(frozen=True)
class ParameterReport:
    """One parameter at one point.

    Attributes
    ----------
    name : str
    shape : tuple of int
    size, checked, covered : int
        The numbers of components: all, those differenced one by one, and those seen in any way, one
        by one or by a random direction.
    relative_error : float
        The course's figure of this parameter; under random directions, an estimate from the first
        of them.
    verdict : str
        The worst of its components, and of residuals along random directions that no component
        explains.
    counts : mapping of str to int
        The numbers of components by verdict, of those differenced one by one.
    resolution : float
        The smallest relative error in any one covered component that would have been reported;
        where not all were differenced one by one, of a component as large as the parameter's
        gradients are in the root mean square. Nothing is known of components that are not covered.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    checked: int
    covered: int
    relative_error: float
    verdict: str
    counts: Mapping[str, int]
    resolution: float


class Drawable(Protocol):
    """The pictures of a point."""

    def drawn(self) -> dict[str, Any]:
        """Return maps, a scatter and a curve as plain lists; see `verdict.pictures`."""


@dataclass(frozen=True)
class PointReport:
    """One point at which the gradients were compared.

    Attributes
    ----------
    name : str
        ``given``, ``random initialization 2``, ``given, after 50 steps``, ``given, penalty off``.
    passed : bool
    verdict : str
    relative_error : float
        The course's figure over the whole of theta.
    parameters : tuple of ParameterReport
    components : tuple of Component
        Those that are not ok, worst first, at most 1,000 of a parameter.
    findings : tuple of Finding
    outputs : tuple of ParameterReport
        In Jacobians and pushforwards a row for each output; where these are more than 100, for the
        worst 1,000 that are not ok.
    matrix : (int, int) or None
        There, the number of outputs and of components of theta.
    picture : callable or None
        Returns the data of the point's pictures.
    """

    name: str
    passed: bool
    verdict: str
    relative_error: float
    parameters: tuple[ParameterReport, ...]
    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    outputs: tuple[ParameterReport, ...] = ()
    matrix: tuple[int, int] | None = None
    picture: Callable[[], Drawable] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Drop the picture, which holds arrays of the check."""
        return {**self.__dict__, "picture": None}


def badness(point: PointReport) -> tuple[bool, int, float, float]:
    """Return a sort key of points; the worst has the largest."""
    worst = point.components[0].relative_error if point.components else 0.0
    return not point.passed, VERDICTS.index(point.verdict), worst, point.relative_error


@dataclass(frozen=True, repr=False)
class Report:
    """A finished check; ``str(report)`` is its text as the terminal shows it.

    Attributes
    ----------
    passed : bool
    verdict : str
        The worst of its points.
    components : tuple of Component
        Of all points, worst first.
    findings : tuple of Finding
        Of all points, causes first.
    evaluations : int
        All calls of the cost.
    points : tuple of PointReport
    seed : int
        The seed of all random choices: it repeats the run.
    settings : Settings
    notes : tuple of str
        Changes of the data before the check (``dropout off: keep_prob 0.8 -> 1.0``).
    style : Style
        The style of its text.
    seconds : float
        Duration of the check.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import check_gradients
    >>> report = check_gradients(lambda x: float(x @ x), lambda x: 2 * x, np.ones(3))
    >>> report.passed, report.verdict, report.points[0].name
    (True, 'ok', 'given')
    """

    passed: bool
    verdict: str
    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    evaluations: int
    points: tuple[PointReport, ...]
    seed: int
    settings: Settings
    notes: tuple[str, ...] = ()
    style: Style = field(default=Style(), repr=False, compare=False)
    seconds: float = field(default=0.0, repr=False, compare=False)

    @property
    def worst_point(self) -> PointReport:
        """The point of the worst component; without any, that of the largest relative error."""
        return max(self.points, key=badness)

    @property
    def relative_error(self) -> float:
        """The course's figure over the whole of theta, at the worst point."""
        return self.worst_point.relative_error

    @property
    def parameters(self) -> tuple[ParameterReport, ...]:
        """The parameters at the worst point."""
        return self.worst_point.parameters

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types; NaN and infinities become strings."""
        fields = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.compare and item.name != "settings"
        }
        fields["relative_error"] = self.relative_error
        fields["parameters"] = self.parameters
        plain: dict[str, Any] = _plain(fields)
        plain["settings"] = {
            item.name: _setting(getattr(self.settings, item.name))
            for item in dataclasses.fields(self.settings)
        }
        return plain

    def __repr__(self) -> str:
        components = sum(parameter.covered for parameter in self.parameters)
        points = f", {len(self.points)} points" * (len(self.points) > 1)
        return (
            f"<Report {self.verdict}: {components:,} components{points}, relative error "
            f"{self.relative_error:.1e}, {self.evaluations:,} cost calls>"
        )

    def _repr_html_(self) -> str:
        """Return the HTML card for a notebook; the plain text without the extra `html`."""
        try:
            from pytest_gradcheck.report.html import card
        except ImportError:
            return f"<pre>{escape(str(self))}</pre>"
        from pytest_gradcheck.report.summary import drawn

        return card(drawn(self))

    def __str__(self) -> str:
        return self.text(self.style)

    def text(self, style: Style) -> str:
        """Return the text of the report in a style."""
        guard = Guard()
        with guard.of("drawing the report"):
            from pytest_gradcheck.report.terminal import failure_text

            return failure_text(self, style)
        return "\n".join(
            [f"{self.verdict}: {len(self.components)} components are not ok", *guard.notes]
        )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (item.name for item in dataclasses.fields(value) if item.compare)
        return {name: _plain(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):  # float(), str(): NumPy's are subclasses, which xdist cannot send
        return float(value) if math.isfinite(value) else str(float(value))
    return str.__str__(value) if isinstance(value, str) else value


def _setting(value: Any) -> Any:
    """Return a setting as a plain type; other values (a context manager, say) as their names.

    A ``repr`` with an address would differ from run to run.
    """
    if isinstance(value, (bool, int, float, str, type(None))):
        return _plain(value)
    if isinstance(value, (list, tuple)):
        return [_setting(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _setting(item) for key, item in value.items()}
    said = repr(value)
    if " at 0x" in said:
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    return said


def band(error: float) -> str:
    """Return the course's word for a relative error: 1e-7 great, 1e-5 look, 1e-3 bug.

    Examples
    --------
    >>> band(3e-8), band(2e-6), band(2e-5), band(0.3)
    ('great', 'good', 'look closer', 'bug')
    """
    return next(word for bound, word in BANDS if error <= bound or bound == math.inf)


def failing(settings: Settings) -> frozenset[str]:
    """Return the verdicts that fail a check under these settings."""
    names = {"bug", "nonfinite"}
    if settings.fail_on == "suspect":
        names.add("suspect")
    if settings.strict:
        names |= {"kink", "inconclusive", "suspect"}
    return frozenset(names)


class GradientError(AssertionError):
    """A gradient that differs from the two-sided differences of its cost.

    An ``AssertionError``, so that pytest reports it as a failure of the test and ``xfail``,
    ``--pdb``, ``--lf`` and reruns treat it as any other.

    Attributes
    ----------
    report : Report
        The finished check, with every component that is not right.
    """

    def __init__(self, report: Report, text: str | None = None) -> None:
        super().__init__(str(report) if text is None else text)
        self.report = report

    def __reduce__(self) -> tuple[Callable[..., GradientError], tuple[Report, str]]:
        """Let a pool of processes send it, which would look for its class in ``builtins``.

        Settings that are code (a context manager, a function) are dropped.
        """
        settings = dataclasses.replace(
            self.report.settings, dropout=None, disable=None, regularization=None
        )
        report = dataclasses.replace(self.report, settings=settings)
        return _gradient_error, (report, str(self))


def _gradient_error(report: Report, text: str) -> GradientError:
    return GradientError(report, text)


# pytest prints the module before the name. Without it the first line has room for the cause.
GradientError.__module__ = "builtins"
