"""``edgeresnet evaluate``: how right a graph or a bundle is."""
