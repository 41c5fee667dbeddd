"""``edgeresnet benchmark``: how fast a bundle is, engine alone and end to end."""
