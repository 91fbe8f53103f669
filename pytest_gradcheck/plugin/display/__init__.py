"""What the plugin puts on the terminal beside pytest: failed checks, and the progress line."""
