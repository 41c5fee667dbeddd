"""``edgeresnet inspect``: what a graph or bundle holds (a checkpoint: ``convert/describe.py``)."""
