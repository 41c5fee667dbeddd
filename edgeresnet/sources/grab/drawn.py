"""Drawn frames at a pace, with faults on demand: a camera that is always at hand."""

from __future__ import annotations

import threading
import time

from edgeresnet.sources.canvas import canvas, windows
from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Ended, Grabbed, Opened, Order
from edgeresnet.sources.shots import Shot, ticks


def connect(order: Order) -> Grabbed:
    """``options``: ``fps count seed pattern``, and ``fail`` or ``hang`` after so many frames."""
    options = order.options
    height, width = (int(side) for side in order.place.split("x"))
    fps = float(options["fps"])
    due = ticks(fps, threading.Event())
    yield Opened(fps)
    drawn = canvas((height, width), options["pattern"], options["seed"])
    for index, pixels in enumerate(windows(drawn, width, options["pattern"], options["count"])):
        if options["fail"] and index == options["fail"]:
            raise Fault("closed", f"broke off after {index} frames, as it was asked to")
        if options["hang"] and index == options["hang"]:
            while True:
                time.sleep(3600)
        next(due)
        yield Shot(pixels, captured_ns=time.monotonic_ns())
    yield Ended()
