"""The result of a check as plain types, and its text and files. No NumPy, no pytest."""
