"""The parts of compare_quantizers.py: each leg, view, figure and table of the comparison."""
