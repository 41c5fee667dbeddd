"""``edgeresnet run``: frames in, predictions out, until the source ends or someone stops it."""
