"""One contender of bench/train-step.ts: train-step-torch.py model rank-scale batch threads layout"""

import json
import resource
import sys
import time

import torch

from torch_model import build, training

name, scale, batch, threads, layout = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
torch.set_num_threads(threads)

model = build(name, scale)
images = torch.randn(batch, 3, 160, 160)
labels = torch.arange(batch) * 37 % 1000
if layout == "channels_last":
    model = model.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
optimizer, criterion = training(model)
print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}), flush=True)
for line in sys.stdin:
    milliseconds = []
    processor = time.process_time()
    for _ in range(int(line)):
        started = time.perf_counter()
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        milliseconds.append((time.perf_counter() - started) * 1000)
    spent = (time.process_time() - processor) * 1000 / len(milliseconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"milliseconds": milliseconds, "processorMilliseconds": spent, "peakMiB": peak}), flush=True)
