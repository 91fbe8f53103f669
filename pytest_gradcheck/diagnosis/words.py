"""Lists of names and numbers for messages."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["listed", "numbered"]


def listed(names: Sequence[str], most: int = 4) -> str:
    """Join names, without the middle of a long list.

    Examples
    --------
    >>> listed(["W1", "b1"]), listed(["W1", "b1", "W2", "b2", "W3", "b3"])
    ('W1, b1', 'W1, b1, …, b3 (6 parameters)')
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:2])}, …, {names[-1]} ({len(names)} parameters)"


def numbered(values: Sequence[int]) -> str:
    """Join numbers, with runs shortened.

    Examples
    --------
    >>> numbered([0, 2, 3, 4, 7])
    '0, 2-4, 7'
    """
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    texts = [str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs]
    return ", ".join(texts if len(texts) <= 5 else [*texts[:4], f"… ({sum(map(len, runs))})"])
