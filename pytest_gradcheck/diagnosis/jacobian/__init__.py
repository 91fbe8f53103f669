"""What the pattern of errors in a matrix gives away."""
