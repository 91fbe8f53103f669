"""Try small edits of suspected statements: one that heals the gradient shows where it was wrong."""

from __future__ import annotations

from pytest_gradcheck.diagnosis.line.repair.edits import Edit
from pytest_gradcheck.diagnosis.line.repair.replay import Known, Script
from pytest_gradcheck.diagnosis.line.repair.trial import Bench, repaired

__all__ = ["Bench", "Edit", "Known", "Script", "repaired"]
