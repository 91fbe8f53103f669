"""Two gradients -> one verdict for each component."""
