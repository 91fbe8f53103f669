"""The plugin's output on pytest's terminal: failed checks, and the progress line."""
