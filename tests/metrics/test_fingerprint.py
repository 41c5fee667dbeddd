"""A figure says on what machine it was measured."""

import json
import os

import numpy as np

from edgeresnet.metrics.fingerprint import fingerprint


def test_it_names_the_machine_and_the_packages():
    found = fingerprint()
    assert found["cpu"]
    assert found["packages"]["numpy"] == np.__version__
    assert 1 <= found["cores"] <= os.cpu_count()
    assert json.loads(json.dumps(found)) == found
