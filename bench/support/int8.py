"""Quantizes models with onnxruntime.quantization (static, QDQ, weights by neuron), and times models in turns.

int8.py quantize MODEL IMAGES.bin COUNT C H W OUTPUT
int8.py time C H W MODEL...        prints the median milliseconds of one image of each, as JSON
"""

import json
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Images(CalibrationDataReader):
    def __init__(self, name, images):
        self.feeds = iter([{name: image[None]} for image in images])

    def get_next(self):
        return next(self.feeds, None)


def input_of(model):
    stored = {initializer.name for initializer in model.graph.initializer}
    return next(value for value in model.graph.input if value.name not in stored)


def quantize(path, data, count, dims, output):
    model = onnx.load(path)
    if model.opset_import[0].version < 13:
        model = onnx.version_converter.convert_version(model, 17)
    model.ir_version = max(model.ir_version, 8)
    stored = {initializer.name for initializer in model.graph.initializer}
    images = input_of(model)
    for value in [value for value in model.graph.input if value.name in stored]:
        model.graph.input.remove(value)
    ready = output + ".ready.onnx"
    onnx.save(model, ready)
    quant_pre_process(ready, ready, skip_symbolic_shape=True)
    array = np.fromfile(data, dtype=np.float32).reshape(count, *dims)
    quantize_static(
        ready,
        output,
        Images(images.name, array),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def time_in_turns(dims, paths):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    sessions = [onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in paths]
    image = np.random.default_rng(0).standard_normal((1, *dims)).astype(np.float32)
    feeds = [{session.get_inputs()[0].name: image} for session in sessions]
    times = [[] for _ in paths]
    for session, feed in zip(sessions, feeds):
        for _ in range(5):
            session.run(None, feed)
    for _ in range(60):
        for at, session in enumerate(sessions):
            started = time.perf_counter()
            session.run(None, feeds[at])
            times[at].append(1000 * (time.perf_counter() - started))
    print(json.dumps([float(np.median(each)) for each in times]))


if sys.argv[1] == "quantize":
    _, _, path, data, count, *dims, output = sys.argv
    quantize(path, data, int(count), [int(dim) for dim in dims], output)
else:
    _, _, channels, height, width, *paths = sys.argv
    time_in_turns([int(channels), int(height), int(width)], paths)
