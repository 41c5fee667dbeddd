"""``edgeresnet convert``: a trained checkpoint to a contract graph that is proved equal to it."""
