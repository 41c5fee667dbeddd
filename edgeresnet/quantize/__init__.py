"""``edgeresnet quantize``: a contract graph to an INT8 graph inside an accuracy budget."""
