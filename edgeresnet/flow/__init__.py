"""Frames through proved engines, in order."""
