"""The user's functions -> cost(theta) and gradient(theta), and whether they can be checked."""
