"""The training-match probe: do pictures reach the network as they did in its training."""
