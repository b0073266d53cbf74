"""One contender of bench/train-step.ts: the research prototype, train-step-prototype.py script model batch threads"""

import importlib.util
import json
import resource
import sys
import time

import numpy as np
import onnxruntime

script, name, batch, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
spec = importlib.util.spec_from_file_location("prototype", script)
prototype = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prototype)
# As its page says: folding where it paid, the blocked depthwise operator for EfficientNet.
options = {"resnet18": {}, "resnet50": {"fold": 0.3}}.get(name, {"fold": 0.3, "dw": "nchwc"})
emitter = prototype.E(prototype.net(name), batch, 160, 1000, **options)
settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = threads
settings.enable_mem_pattern = False
settings.log_severity_level = 3
session = onnxruntime.InferenceSession(emitter.build().SerializeToString(), settings, providers=["CPUExecutionProvider"])
feeds = dict(emitter.s0)
feeds["x"] = np.random.default_rng(0).standard_normal((batch, 3, 160, 160)).astype(np.float32)
feeds["y"] = np.arange(batch) * 37 % 1000
feeds["lr"] = np.array(0.01, np.float32)
outputs = [output.name for output in session.get_outputs()]
print(json.dumps({"parameters": int(emitter.s0["params"].size)}), flush=True)
for line in sys.stdin:
    milliseconds = []
    processor = time.process_time()
    for _ in range(int(line)):
        started = time.perf_counter()
        results = dict(zip(outputs, session.run(outputs, feeds)))
        for state, result in (("params", "params_o"), ("mom", "mom_o"), ("rm", "rm_o"), ("rv", "rv_o")):
            feeds[state] = results[result]
        milliseconds.append((time.perf_counter() - started) * 1000)
    spent = (time.process_time() - processor) * 1000 / len(milliseconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"milliseconds": milliseconds, "processorMilliseconds": spent, "peakMiB": peak}), flush=True)
