"""The engine inspector's JSON, in the forms of three generations.

Written after the form documented for ``IEngineInspector`` (the 11.x fields: its page "Migrating
IEngineInspector Usage from TensorRT 10.x to 11.x") and shown by the engine graphs in
NVIDIA/TensorRT ``tools/experimental/trt-engine-explorer`` and its issues 3737, 4020 and 4397.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.backends.tensorrt.layers import layers_of
from edgeresnet.core.layers import findings, int8_share

INT8_ROWS = "Thirty-two wide channel vectorized row major Int8 format"
HALF_ROWS = "Thirty-two wide channel vectorized row major FP16 format"
FLOAT_ROWS = "Row major linear FP32"
INTEGERS = "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs_t1r3s3"
HALVES = "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x64x32"

TENSORRT_8 = r"""
{"Layers": [{
  "Name": "normalised.Quantize",
  "LayerType": "Reformat",
  "Inputs": [{"Name": "normalised", "Location": "Device", "Dimensions": [1,3,224,224],
    "Format/Datatype": "Row major linear FP32"}],
  "Outputs": [{"Name": "normalised.quantized", "Location": "Device", "Dimensions": [1,3,224,224],
    "Format/Datatype": "Four wide channel vectorized row major Int8 format"}],
  "ParameterType": "Reformat", "Origin": "QDQ", "TacticValue": "0x0000000000000000",
  "StreamId": 0, "Metadata": "[ONNX Layer: normalised.Quantize]"
},{
  "Name": "conv1.weight.quantized + conv1.weight.Dequantize + conv1 + maxpool",
  "LayerType": "ConvActPool",
  "Inputs": [{"Name": "normalised.quantized", "Dimensions": [1,3,224,224],
    "Format/Datatype": "Four wide channel vectorized row major Int8 format"}],
  "Outputs": [{"Name": "a", "Dimensions": [1,64,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "ParameterType": "ConvActPool", "ConvWeights": {"Type": "Int8", "Count": 9408},
  "TacticValue": "0x0000000000000461", "StreamId": 0, "Metadata": ""
},{
  "Name": "Reformatting CopyNode for Input Tensor 0 to layer1.0.conv3 + layer1.0.Add",
  "LayerType": "Reformat",
  "Inputs": [{"Name": "a", "Dimensions": [1,64,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "Outputs": [{"Name": "b", "Dimensions": [1,64,56,56],
    "Format/Datatype": "Channel major INT8 format where channel % 16 == 0"}],
  "ParameterType": "Reformat", "Origin": "REFORMAT", "StreamId": 0, "Metadata": ""
},{
  "Name": "layer1.0.conv3 + layer1.0.Add + layer1.0.relu_2",
  "LayerType": "CaskConvolution",
  "Inputs": [{"Name": "b", "Dimensions": [1,64,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"},
   {"Name": "c", "Dimensions": [1,256,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "Outputs": [{"Name": "d", "Dimensions": [1,256,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major FP16 format"}],
  "ParameterType": "Convolution", "Kernel": [1,1], "Weights": {"Type": "Int8", "Count": 16384},
  "Bias": {"Type": "Float", "Count": 256}, "HasReLU": 1,
  "TacticName": "sm80_xmma_fprop_implicit_gemm_interleaved_i8f16_i8i32_f32_nchw_vect_c_32kcrs",
  "TacticValue": "0xe2bc5a4963d23ad0", "StreamId": 0,
  "Metadata":
    "[ONNX Layer: layer1.0.conv3]\u001e[ONNX Layer: layer1.0.Add]\u001e[ONNX Layer: relu_2]"
},{
  "Name": "layer1.1.conv1.weight.Dequantize + layer1.1.conv1",
  "LayerType": "CaskConvolution",
  "Inputs": [{"Name": "d", "Dimensions": [1,256,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major FP16 format"}],
  "Outputs": [{"Name": "e", "Dimensions": [1,64,56,56],
    "Format/Datatype": "Thirty-two wide channel vectorized row major FP16 format"}],
  "ParameterType": "Convolution", "Weights": {"Type": "Half", "Count": 16384},
  "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize64x64x64",
  "StreamId": 0, "Metadata": ""
},{
  "Name": "PWN(PWN(layer1.1.Add), layer1.1.relu_2)",
  "LayerType": "PointWiseV2",
  "Inputs": [{"Name": "d",
    "Format/Datatype": "Thirty-two wide channel vectorized row major FP16 format"},
   {"Name": "e", "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "Outputs": [{"Name": "f",
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "ParameterType": "PointWise", "NbOperations": 3, "StreamId": 0, "Metadata": ""
},{
  "Name": "avgpool",
  "LayerType": "CaskPooling",
  "Inputs": [{"Name": "f",
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "Outputs": [{"Name": "g",
    "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
  "ParameterType": "Pooling", "PoolingType": "AVERAGE", "StreamId": 0,
    "Metadata": "[ONNX Layer: avgpool]"
},{
  "Name": "fc",
  "LayerType": "CaskGemmConvolution",
  "Inputs": [{"Name": "g", "Format/Datatype": "Row major Int8 format"}],
  "Outputs": [{"Name": "logits", "Format/Datatype": "Row major linear FP32"}],
  "ParameterType": "Convolution", "Weights": {"Type": "Int8", "Count": 2048000},
  "TacticName": "ampere_fp32_icudnn_int8x4_128x64_relu_medium_nn_v1", "StreamId": 0,
    "Metadata": "[ONNX Layer: fc]"
},{
  "Name": "reshape_after_fc", "LayerType": "NoOp", "Inputs": [], "Outputs": [], "StreamId": 0,
    "Metadata": ""
},{
  "Name": "fc [profile 1]", "LayerType": "CaskGemmConvolution", "Inputs": [], "Outputs": [],
    "Metadata": ""
}],
"Bindings": ["image", "logits"]}
"""

TENSORRT_10 = r"""
{"Layers": [{
  "Name": "__myl_CastMulAddQuan_myl0_0", "LayerType": "kgen",
  "Inputs": [{"Name": "image", "Dimensions": [1,224,224,3], "Format/Datatype": "UInt8"}],
  "Outputs": [{"Name": "__myln_k_arg__bb1_2", "Dimensions": [1,224,224,4],
    "Format/Datatype": "Int8"}],
  "TacticName": "__myl_CastMulAddQuan_0x1b6f3c8de5aa", "StreamId": 0,
  "Metadata": "[ONNX Layer: normalise.Cast][ONNX Layer: normalise.Mul][ONNX Layer: normalise.Add]"
},{
  "Name": "conv1_myl0_1", "LayerType": "conv",
  "Inputs": [{"Name": "__myln_k_arg__bb1_2", "Format/Datatype": "Int8"}],
  "Outputs": [{"Name": "__mye501_3", "Format/Datatype": "Int8"}],
  "TacticName": "sm80_xmma_fprop_implicit_gemm_i8i8_i8i32_f32_nhwckrsc_nhwc_tilesize128x64x64",
  "StreamId": 0,
    "Metadata":
    "[ONNX Layer: conv1.weight.Dequantize]\u001f[ONNX Layer: conv1]\u001f[ONNX Layer: relu]"
},{
  "Name": "__myl_Move_myl0_2", "LayerType": "kgen",
  "Inputs": [{"Name": "__mye501_3", "Format/Datatype": "Int8"}],
  "Outputs": [{"Name": "__mye502_4", "Format/Datatype": "Int8"}],
  "TacticName": "__myl_Move_0x99fe", "StreamId": 0, "Metadata": ""
},{
  "Name": "__myl_AddReluQuan_myl0_3", "LayerType": "kgen",
  "Inputs": [{"Name": "__mye502_4", "Format/Datatype": "Half"}, {"Name": "x",
    "Format/Datatype": "Half"}],
  "Outputs": [{"Name": "__mye503_5", "Format/Datatype": "Int8"}],
  "TacticName": "__myl_AddReluQuan_0x31", "StreamId": 0,
    "Metadata": "[ONNX Layer: layer1.0.Add][ONNX Layer: layer1.0.relu_2]"
},{
  "Name": "signal_1", "LayerType": "signal", "Inputs": [], "Outputs": [], "StreamId": 0,
    "Metadata": ""
},{
  "Name": "__myl_Fc_myl0_4", "LayerType": "fusion",
  "Inputs": [{"Name": "__mye503_5", "Format/Datatype": "Half"}],
  "Outputs": [{"Name": "__mye504_6", "Format/Datatype": "Half"}],
  "TacticName": "sm80_xmma_gemm_f16f16_f16f16_f16_nn_n_tilesize32x32x64_stage6_by_fusion_tactic",
  "StreamId": 0, "Metadata": "[ONNX Layer: head][ONNX Layer: head.Mul]"
},{
  "Name": "fc_myl0_5", "LayerType": "gemm",
  "Inputs": [{"Name": "fc.weight.quantized", "Format/Datatype": "Int8"}, {"Name": "y",
    "Format/Datatype": "Int8"}],
  "Outputs": [{"Name": "logits", "Format/Datatype": "Float"}],
  "TacticName": "sm80_xmma_gemm_i8f32_i8i32_f32_tn_n_tilesize32x32x64", "StreamId": 0,
  "Metadata": "[ONNX Layer: fc.weight.Dequantize][ONNX Layer: fc]"
}],
"Bindings": ["image", "logits"]}
"""

TENSORRT_11 = r"""
{"Layers": [{
  "Name": "layer1.0.conv1 + layer1.0.relu", "LayerType": "CaskConvolution",
  "Inputs": [{"Name": "a", "Dimensions": [1,64,56,56], "DataType": "Int8", "Location": "Device",
    "Format": "Thirty-two wide channel vectorized row major Int8 format (kCHW32)"}],
  "Outputs": [{"Name": "b", "Dimensions": [1,64,56,56], "DataType": "Int8", "Location": "Device",
    "Format": "Thirty-two wide channel vectorized row major Int8 format (kCHW32)"}],
  "ParameterType": "Convolution", "Weights": {"Type": "Int8", "Count": 4096},
  "TacticName": "sm87_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs",
  "Metadata": "[ONNX Layer: layer1.0.conv1]\u001e[ONNX Layer: layer1.0.relu]"
},{
  "Name": "fc", "LayerType": "CaskGemmMatrixMultiply",
  "Inputs": [{"Name": "b", "DataType": "Half", "Format": "Row major linear FP16 format (kLINEAR)"}],
  "Outputs": [{"Name": "logits", "DataType": "Float",
    "Format": "Row major linear FP32 format (kLINEAR)"}],
  "Metadata": "[ONNX Layer: fc]"
}],
"I/O Tensors": [{"Name": "image", "IOMode": "Input", "DataType": "UInt8",
    "Dimensions": [1,224,224,3],
  "Location": "Device", "IsShapeInferenceIO": false,
  "ProfileInfo": [{"MinShape": [1,224,224,3],
    "Format": "Row major linear UInt8 format (kLINEAR)"}]}]}
"""


def told(text):
    return [(layer.kind, layer.precision, layer.nodes) for layer in layers_of(text)]


def one(**fields):
    """The only layer of an engine that has ``fields``."""
    (layer,) = layers_of(json.dumps({"Layers": [{"Name": "a", **fields}]}))
    return layer


def tensors(*types):
    return [{"Name": f"t{i}", "Format/Datatype": kind} for i, kind in enumerate(types)]


def product(weights=None, tactic=None, inputs=()):
    """Precision of a convolution of which so much is told."""
    fields = {"LayerType": "CaskConvolution", "Inputs": tensors(*inputs)}
    fields |= {} if weights is None else {"Weights": {"Type": weights, "Count": 64}}
    fields |= {} if tactic is None else {"TacticName": tactic}
    return one(**fields).precision


def test_an_engine_of_tensorrt_8_is_read_in_order_of_the_first_profile():
    assert told(TENSORRT_8) == [
        ("reformat", "float32", ("normalised.Quantize",)),
        ("convolution", "int8", ("conv1.weight.Dequantize", "conv1", "maxpool")),
        ("reformat", "int8", ()),
        ("convolution", "int8", ("layer1.0.conv3", "layer1.0.Add", "relu_2")),
        ("convolution", "float16", ("layer1.1.conv1.weight.Dequantize", "layer1.1.conv1")),
        ("elementwise", "float16", ("layer1.1.Add", "layer1.1.relu_2")),
        ("pooling", "int8", ("avgpool",)),
        ("convolution", "int8", ("fc",)),
    ]


def test_what_keeps_it_from_int8_is_found_and_the_fused_add_is_not():
    layers = layers_of(TENSORRT_8)
    assert int8_share(layers) == pytest.approx(3 / 4)
    fell, layout, adds = findings(layers)
    assert fell == "quantized in the graph, yet these run in float16: 1 (layer1.1.conv1)"
    assert layout.startswith("between INT8 layers, only changing the layout: 1 (Reformatting")
    assert adds == "Adds that are not fused into a convolution: 1 (layer1.1.Add)"


def test_an_engine_of_tensorrt_10_has_kernels_that_it_wrote_itself():
    assert told(TENSORRT_10) == [
        ("elementwise", "int8", ("normalise.Cast", "normalise.Mul", "normalise.Add")),
        ("convolution", "int8", ("conv1.weight.Dequantize", "conv1", "relu")),
        ("reformat", "int8", ()),
        ("elementwise", "float16", ("layer1.0.Add", "layer1.0.relu_2")),
        ("matmul", "float16", ("head", "head.Mul")),
        ("matmul", "int8", ("fc.weight.Dequantize", "fc")),
    ]
    assert "layer1.0.Add" in findings(layers_of(TENSORRT_10))[-1]
    assert "normalise" not in str(findings(layers_of(TENSORRT_10)))


def test_an_engine_of_tensorrt_11_tells_type_and_format_apart():
    assert told(TENSORRT_11) == [
        ("convolution", "int8", ("layer1.0.conv1", "layer1.0.relu")),
        ("matmul", "float16", ("fc",)),
    ]


def test_without_detailed_verbosity_there_are_names_and_no_precision():
    names = ["Reformatting CopyNode for Input Tensor 0 to conv1", "conv1 + relu", "maxpool", "fc"]
    text = json.dumps({"Layers": names, "Bindings": ["image", "logits"]})
    assert told(text) == [
        ("reformat", "", ()),
        ("convolution", "", ("conv1", "relu")),
        ("other", "", ("maxpool",)),
        ("matmul", "", ("fc",)),
    ]


def test_a_block_that_tells_nothing_of_its_inside_has_no_precision():
    block = one(
        Name="{ForeignNode[layer1.0.conv1...fc]}",
        LayerType="Myelin",
        Inputs=tensors(HALF_ROWS),
        Outputs=tensors(HALF_ROWS),
    )
    assert (block.multiplies, block.precision) == (True, "")
    assert block.nodes == ("layer1.0.conv1", "fc")
    quiet = one(LayerType="Myelin", Metadata="[ONNX Layer: normalise.Cast]")
    assert not quiet.multiplies


@pytest.mark.parametrize(
    ("weights", "tactic", "inputs", "precision"),
    [
        ("Int8", INTEGERS, (INT8_ROWS,), "int8"),
        ("Int8", None, (INT8_ROWS, HALF_ROWS), "int8"),
        (None, INTEGERS, (), "int8"),
        (None, "cutlass_tensorop_i16832gemm_s8_256x128_64x3_tn_align16", (), "int8"),
        (None, "turing_int8_i8816cudnn_int8_256x128_ldg16_relu_singleBuffer", (), "int8"),
        ("Int8", None, ("N/A due to dynamic shapes",), "int8"),
        (None, None, ("Int8", "Half"), "int8"),
        ("Half", HALVES, (HALF_ROWS,), "float16"),
        (None, "turing_h1688cudnn_256x64_ldg8_relu_exp_small_nhwc_tn_v1", (), "float16"),
        (None, None, (HALF_ROWS, HALF_ROWS), "float16"),
        ("BFloat16", "sm80_xmma_fprop_bf16bf16_bf16f32_f32_nhwc", ("BFloat16",), "bfloat16"),
        ("Float", "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc", (), "float32"),
        ("Float", "ampere_scudnn_128x64_relu_small_nn_v1", (FLOAT_ROWS,), "float32"),
        # kept in INT8, widened before they are multiplied
        ("Int8", None, (HALF_ROWS,), "float16"),
        ("Int8", HALVES, (HALF_ROWS,), "float16"),
        # INT8 goes in, and the kernel is nevertheless one of float
        ("Float", "sm80_xmma_fprop_f32f32_tf32f32_f32", (INT8_ROWS,), "float32"),
        # told both ways, or not at all
        ("Float", INTEGERS, (INT8_ROWS,), ""),
        (None, None, ("Half", "Int8"), ""),
        (None, None, ("UInt8",), ""),
        (None, None, (), ""),
        ("FP8", "sm89_xmma_gemm_e4m3e4m3_e4m3f32_f32", ("FP8",), ""),
    ],
)
def test_a_product_runs_in_what_tactic_weights_and_inputs_agree_on(
    weights, tactic, inputs, precision
):
    assert product(weights, tactic, inputs) == precision


@pytest.mark.parametrize(
    ("inputs", "outputs", "precision"),
    [
        (("Int8",), ("Int8",), "int8"),
        (("Channel major INT8 format where channel % 16 == 0",), (INT8_ROWS,), "int8"),
        ((HALF_ROWS,), (INT8_ROWS,), "float16"),
        (("Int8", "Half"), ("Float",), "float32"),
        (("UInt8",), ("BFloat16",), "bfloat16"),
        (("Row major linear UInt8 format",), ("Bool", "Int32"), ""),
    ],
)
def test_what_does_not_multiply_is_int8_only_if_all_of_it_is(inputs, outputs, precision):
    layer = one(LayerType="Reformat", Inputs=tensors(*inputs), Outputs=tensors(*outputs))
    assert (layer.kind, layer.precision) == ("reformat", precision)


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("CaskConvolution", "Convolution", "convolution"),
        ("FusedConvActDirect", "Convolution", "convolution"),
        ("CaskDeconvolutionV2", "Convolution", "convolution"),
        ("i8816cudnn", "Convolution", "convolution"),
        ("CaskConvActPool", "ConvActPool", "convolution"),
        ("MatrixMultiply", "MatrixMultiply", "matmul"),
        ("FullyConnected", "", "matmul"),
        ("TiledPooling", "Pooling", "pooling"),
        ("PointWise", "PointWise", "elementwise"),
        ("ElementWise", "ElementWise", "elementwise"),
        ("Shuffle", "Shuffle", "other"),
        ("PluginV2", "PluginV2", "other"),
        ("SomethingNew", "", "other"),
    ],
)
def test_layers_are_sorted_by_what_they_do(kind, parameters, expected):
    assert one(LayerType=kind, ParameterType=parameters).kind == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__myl_MoveConc_myl3_1", "elementwise"),
        ("__myl_ReshTran_myl0_7", "reformat"),
        ("__myl_CastCastAddMaxCast_fused", "elementwise"),
        ("__myl_MaxPoolQuan_myl0_2", "pooling"),
        ("_gemm_mha_v2_myl0_4", "matmul"),
        ("__myl_ConvAddRelu_myl0_9", "convolution"),
        ("__myl_ConvertMul_myl0_9", "elementwise"),
        ("__myl_MatMulAdd_myl0_9", "matmul"),
    ],
)
def test_kernels_written_by_tensorrt_are_sorted_by_their_operations(name, expected):
    assert one(Name=name, LayerType="kgen").kind == expected


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "null", '{"Layers": 7}', '{"Layers": [7, null]}', '{"Bindings": []}'],
)
def test_text_of_another_form_gives_no_layers(text):
    assert layers_of(text) == ()


def test_control_characters_and_unknown_fields_are_put_up_with():
    text = '{"Layers": [{"Name": "a", "LayerType": 3, "Inputs": "x", "Metadata": "[ONNX Layer: a]'
    (layer,) = layers_of(text + '\x1e[ONNX Layer: b]", "New": {"Field": [1]}}]}')
    assert layer.nodes == ("a", "b")


VALUES = st.none() | st.integers() | st.text(max_size=9) | st.sampled_from(["kgen", "Int8"])
FIELDS = st.sampled_from(["Name", "LayerType", "Inputs", "Weights", "TacticName", "Metadata"])
JSON = st.recursive(VALUES, lambda v: st.lists(v, max_size=3) | st.dictionaries(FIELDS, v))


@given(st.lists(JSON, max_size=4))
def test_no_json_is_too_strange_to_be_read(listed):
    assert len(layers_of(json.dumps({"Layers": listed}))) <= len(listed)
