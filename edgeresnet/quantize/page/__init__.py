"""The HTML report of one quantization, one self-contained file."""
