"""Two matrices of derivatives -> one verdict for each entry."""
