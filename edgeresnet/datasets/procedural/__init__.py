"""Drawn pictures of signs and things, for demonstration and tests without any download."""

from edgeresnet.datasets.procedural.clips import draw_clip
from edgeresnet.datasets.procedural.crowds import draw_scene, write_detection_set
from edgeresnet.datasets.procedural.scenes import Scene, draw_picture, write_pictures
from edgeresnet.datasets.procedural.shapes import CLASSES

__all__ = [
    "CLASSES",
    "Scene",
    "draw_clip",
    "draw_picture",
    "draw_scene",
    "write_detection_set",
    "write_pictures",
]
