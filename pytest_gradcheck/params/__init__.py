"""params <-> theta: containers, names of components, gradients as flat vectors."""
