"""Functions of many outputs, and the matrices of their derivatives."""
