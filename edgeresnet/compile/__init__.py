"""``edgeresnet compile``: a graph to a bundle that proves itself wherever it is opened."""
