"""Makes a network hard to quantize without changing what it computes.

Every stream of channels is multiplied by random factors spread over some decades, and the weights
that read it are divided by them: the logits stay the same, but one scale a tensor no longer fits
all of its channels. INT8 that only looks at the smallest and largest value fails on it.
"""

import argparse
from pathlib import Path

import numpy as np

from edgeresnet.core.contract import load_onnx, save_onnx
from edgeresnet.quantize.equalize import channels, reapply, streams


def main() -> None:
    """Writes the rescaled contract graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graph", type=Path, help="float contract graph, from edgeresnet convert")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--decades", type=float, default=3.0, help="spread of the factors")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = load_onnx(options.graph)
    rng = np.random.default_rng(options.seed)
    half = options.decades / 2
    factors = {
        stream.name: 10 ** rng.uniform(-half, half, channels(model, stream))
        for stream in streams(model)
    }
    save_onnx(reapply(model, factors), options.out)
    print(f"{options.out}: {len(factors)} streams rescaled over {options.decades:g} decades")


if __name__ == "__main__":
    main()
