"""How far PyTorch's autocast is from float32: autocast-gradients.py shared/golden model...

For each golden (model.onnx, meta.json, steps.safetensors) the gradient of the first step under torch.autocast on CPU, as
|g - g32| / |g32| of all parameters together. The numbers of PyTorch's columns in docs/precision.md.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

TYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}
LOSS_SCALE = 1024


def read_safetensors(path):
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[start + t["data_offsets"][0] : start + t["data_offsets"][1]], TYPES[t["dtype"]])
            .reshape(t["shape"]) for name, t in header.items()}


def convolve(a, x, w, b=None):
    pads = a.get("pads", [0] * 4)
    assert pads[:2] == pads[2:]
    return F.conv2d(x, w, b, a.get("strides", 1), pads[:2], a.get("dilations", 1), a.get("group", 1))


OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "BatchNormalization": lambda a, x, w, b, mean, variance: F.batch_norm(
        x, mean.clone(), variance.clone(), w, b, True, 0.1, a.get("epsilon", 1e-5)),
    "Conv": convolve,
    "Flatten": lambda a, x: x.flatten(1),
    "Gemm": lambda a, x, w, b=None: F.linear(x, w if a.get("transB") else w.t(), b),
    "GlobalAveragePool": lambda a, x: F.adaptive_avg_pool2d(x, 1),
    "Identity": lambda a, x: x,
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": lambda a, x: F.max_pool2d(x, a["kernel_shape"], a.get("strides"), a.get("pads", [0] * 4)[:2]),
    "Mul": lambda a, x, y: x * y,
    "ReduceMean": lambda a, x, axes=None: x.mean(
        tuple(int(axis) for axis in (a.get("axes") if axes is None else axes)), keepdim=bool(a.get("keepdims", 1))),
    "Relu": lambda a, x: F.relu(x),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Transpose": lambda a, x: x.permute(a["perm"]),
}


def error(folder, dtype):
    model = onnx.load(folder / "model.onnx")
    results = read_safetensors(folder / "steps.safetensors")
    smoothing = json.loads((folder / "meta.json").read_text())["loss"]["label_smoothing"]
    values = {t.name: torch.tensor(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    trained = [name.removeprefix("grad0/") for name in results if name.startswith("grad0/")]
    weights = [values[name].requires_grad_(True) for name in trained]
    values[model.graph.input[0].name] = torch.tensor(results["x"].copy())
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        for node in model.graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            inputs = [values[name] for name in node.input if name]
            values[node.output[0]] = OPERATORS[node.op_type](attributes, *inputs)
        logits = values[model.graph.output[0].name].float()
        loss = F.cross_entropy(logits, torch.tensor(results["y"].astype(np.int64)), label_smoothing=smoothing)
    (loss * LOSS_SCALE).backward()
    gradient = np.concatenate([w.grad.flatten().float().numpy() / LOSS_SCALE for w in weights])
    expected = np.concatenate([results[f"grad0/{name}"].flatten() for name in trained])
    return np.linalg.norm(gradient - expected) / np.linalg.norm(expected)


print(f"torch {torch.__version__}")
for name in sys.argv[2:]:
    errors = {str(dtype): error(pathlib.Path(sys.argv[1], name), dtype) for dtype in (None, torch.float16, torch.bfloat16)}
    print(name, ", ".join(f"{dtype} {value:.4g}" for dtype, value in errors.items()))
