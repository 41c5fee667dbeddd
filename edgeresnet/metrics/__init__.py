"""Figures with their uncertainty: accuracy, agreement, time."""
