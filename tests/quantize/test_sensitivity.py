"""What one tensor or one layer alone does to the output, and the method it is given for that."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import OPSET, prepend_normalisation
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.recipe import Method, load_recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import LOGITS
from edgeresnet.quantize.budget import multiplications
from edgeresnet.quantize.calibration import observed_tensors
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.ranges import choose_ranges
from edgeresnet.quantize.sensitivity import Prober, choose_methods, layer_sensitivity
from edgeresnet.quantize.statistics import _STRIDE, observe

SCHEMES = [Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC]
AUTO = load_recipe("accurate")
PROBES = 6
SIDE = 64
CHANNELS = 12
"""So many that the tensor is sampled, and a rare value may be missed in the histogram."""


def observed(model, pictures):
    (*_, last) = observe(model, observed_tensors(model), iter(pictures), open_model)
    return last


def prober(model, scheme, pictures, jobs=None):
    probes = pictures[:PROBES]
    return Prober(model, scheme, probes, open_model, lambda outputs: outputs[LOGITS][0], jobs)


@pytest.fixture(params=SCHEMES, ids=lambda scheme: scheme.value)
def scheme(request):
    return request.param


@pytest.fixture
def measured(decided_network, smooth_pictures, scheme):
    """Prober, placement and statistics of the small network."""
    statistics = observed(decided_network, smooth_pictures)
    return (
        prober(decided_network, scheme, smooth_pictures),
        place(decided_network, scheme),
        statistics,
    )


def test_nothing_quantized_is_no_error(measured, scheme):
    probing, placement, statistics = measured
    everything = choose_ranges(statistics, placement, AUTO, scheme)
    nothing = place(probing.model, scheme, [node.name for node in probing.model.graph.node])
    assert nothing.edges == frozenset()
    none, all_ = probing.errors([(nothing, everything), (placement, everything)])
    assert none == 0
    assert all_ > 1e-5


def test_the_layers_errors_add_up_to_that_of_the_whole(measured, scheme):
    """Roughly: each is small and rounds apart from the others."""
    probing, placement, statistics = measured
    ranges = choose_ranges(statistics, placement, AUTO, scheme)
    macs = multiplications(probing.model, probing.pictures[0], open_model)
    layers = layer_sensitivity(probing, placement, ranges, macs)
    (whole,) = probing.errors([(placement, ranges)])
    assert whole / 3 < sum(layer.squared_error for layer in layers) < 3 * whole


def test_layers_come_with_the_most_sensitive_first_and_each_once(measured, scheme):
    probing, placement, statistics = measured
    ranges = choose_ranges(statistics, placement, AUTO, scheme)
    macs = multiplications(probing.model, probing.pictures[0], open_model)
    layers = layer_sensitivity(probing, placement, ranges, macs)
    errors = [layer.squared_error for layer in layers]
    assert errors == sorted(errors, reverse=True)
    names = [layer.layer for layer in layers]
    assert len(names) == len(set(names))
    assert placement.weighted <= set(names) <= {node for _, node in placement.edges}
    assert "maxpool" not in names
    assert {layer.layer: layer.macs for layer in layers if layer.macs} == macs
    shares = [layer.as_json(sum(macs.values()))["macs_share"] for layer in layers]
    assert sum(shares) == pytest.approx(1, abs=0.01)


def test_the_number_of_jobs_changes_nothing(decided_network, smooth_pictures):
    statistics = observed(decided_network, smooth_pictures)
    placement = place(decided_network, Scheme.U8_AFFINE)
    one, two = (
        choose_methods(
            prober(decided_network, Scheme.U8_AFFINE, smooth_pictures, jobs),
            placement,
            statistics,
            AUTO,
        )
        for jobs in (1, 2)
    )
    assert one == two


def test_what_auto_takes_for_a_tensor_is_better_there_and_not_worse_as_a_whole(measured, scheme):
    probing, placement, statistics = measured
    methods = choose_methods(probing, placement, statistics, AUTO)
    assert set(methods) == set(placement.tensors) - set(placement.same_as)
    lp, chosen = (
        choose_ranges(statistics, placement, AUTO, scheme, found)
        for found in (dict.fromkeys(methods, Method.LP), methods)
    )
    changed = [name for name, method in methods.items() if method is not Method.LP]
    trials = [(_alone(placement, name), ranges) for name in changed for ranges in (lp, chosen)]
    errors = probing.errors(trials)
    assert all(after < before for before, after in zip(errors[::2], errors[1::2], strict=True))
    before, after = probing.errors([(placement, lp), (placement, chosen)])
    assert after <= before * 1.01  # tensors are chosen one by one; together they may differ a bit


def _alone(placement, name):
    shared = {other for other, origin in placement.same_as.items() if origin == name}
    edges = frozenset(edge for edge in placement.edges if edge[0] in {name, *shared})
    return type(placement)(edges, frozenset(), dict.fromkeys(shared, name))


def test_auto_keeps_the_rare_large_value_that_carries_the_decision():
    """One bright pixel in four thousand decides, and the histogram has not seen it."""
    model, pictures = spot_network(), spot_pictures()
    statistics = observed(model, pictures)
    placement = place(model, Scheme.U8_AFFINE)
    probing = prober(model, Scheme.U8_AFFINE, pictures)
    lp = choose_ranges(statistics, placement, AUTO, Scheme.U8_AFFINE)
    assert lp["relu"].bounds[1] < statistics["relu"].high / 2
    methods = choose_methods(probing, placement, statistics, AUTO)
    assert methods["relu"] is Method.MINMAX
    chosen = choose_ranges(statistics, placement, AUTO, Scheme.U8_AFFINE, methods)
    cut, kept = probing.errors([(placement, lp), (placement, chosen)])
    assert kept < cut / 10


def spot_network():
    """Twelve channels, the first three of one colour each; what is brightest there decides."""
    rng = np.random.default_rng(3)
    value = helper.make_tensor_value_info
    seen = -rng.uniform(0.1, 1, (CHANNELS, 3))
    seen[:3] = np.eye(3)[::-1]
    stored = {
        "conv.weight": seen[:, :, None, None],
        "conv.bias": np.r_[0, 0, 0, np.full(CHANNELS - 3, 0.05)],
        "fc.weight": rng.normal(size=(3, CHANNELS, 1, 1)),
        "fc.bias": np.zeros(3),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["conv"], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node("MaxPool", ["relu"], ["top"], name="top", kernel_shape=[SIDE, SIDE]),
        helper.make_node("Conv", ["top", "fc.weight", "fc.bias"], ["fc"], name="fc"),
        helper.make_node("Flatten", ["fc"], ["logits"], name="flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "spot",
        [value("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("logits", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(array.astype(np.float32), n) for n, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    plain = Preprocess(size=(SIDE, SIDE), resize=SIDE, mean=(0, 0, 0), std=(1, 1, 1))
    prepend_normalisation(model, plain, 1)
    return model


def spot_pictures():
    """Dark noise, and one pixel of one colour where the sampled histogram does not look."""
    rng = np.random.default_rng(4)
    missed = [
        place
        for place in range(SIDE * SIDE)
        if all((channel * SIDE * SIDE + place) % _STRIDE for channel in range(3))
    ]
    pictures = rng.integers(0, 12, (12, SIDE * SIDE, 3), np.uint8)
    for n, picture in enumerate(pictures):
        picture[rng.choice(missed), n % 3] = rng.integers(120, 256)
    return list(pictures.reshape(-1, SIDE, SIDE, 3))
