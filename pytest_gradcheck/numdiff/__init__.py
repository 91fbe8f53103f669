"""cost(theta) -> numerical derivatives with error bars: noise, steps, directions, search."""
