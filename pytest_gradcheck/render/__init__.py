"""Reports as text: pure functions of the report's plain types, one module a medium."""
