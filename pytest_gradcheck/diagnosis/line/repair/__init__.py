"""Try small edits of suspected statements: one that makes the gradient right shows the line."""

from __future__ import annotations

from pytest_gradcheck.diagnosis.line.repair.edits import Edit
from pytest_gradcheck.diagnosis.line.repair.replay import Known, Script
from pytest_gradcheck.diagnosis.line.repair.trial import Bench, repaired

__all__ = ["Bench", "Edit", "Known", "Script", "repaired"]
