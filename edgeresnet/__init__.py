"""A trained ResNet-50 to INT8 engines on edge devices, with every step proved."""
import os
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))
__version__ = "0.1.0"
