"""How often a property is tried: a few hundred times with every run, 100,000 times at night.

``pytest -m hypothesis --hypothesis-profile=nightly`` is the night's run.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

NIGHTLY = 100_000

settings.register_profile(
    "nightly",
    max_examples=NIGHTLY,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile(
    "every run", max_examples=100, deadline=None, derandomize=True, database=None
)
settings.load_profile("every run")


def tried(count: int) -> settings:
    """Return how a property is tried: on the same examples in every run, on new ones at night."""
    at_night = settings().max_examples == NIGHTLY
    return settings() if at_night else settings(max_examples=count)
