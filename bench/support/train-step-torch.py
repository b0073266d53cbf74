"""One contender of bench/train-step.ts: train-step-torch.py model rank-scale batch threads layout"""

import json
import resource
import sys
import time

import torch
import torchvision
from torch import nn

name, scale, batch, threads, layout = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
torch.set_num_threads(threads)


class Pair(nn.Module):
    """A convolution as 1 x kw (in to rank), then kh x 1 (rank to out)."""

    def __init__(self, conv):
        super().__init__()
        out, inner, kh, kw = conv.weight.shape
        rank = max(1, round(scale * min(out * kh, inner * kw)))
        (sh, sw), (ph, pw) = conv.stride, conv.padding
        self.first = nn.Conv2d(inner, rank, (1, kw), (1, sw), (0, pw), bias=False)
        self.second = nn.Conv2d(rank, out, (kh, 1), (sh, 1), (ph, 0), bias=conv.bias is not None)

    def forward(self, x):
        return self.second(self.first(x))


def factorize(module):
    for key, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d) and child.groups == 1 and child.in_channels > 3:
            setattr(module, key, Pair(child))
        else:
            factorize(child)


torch.manual_seed(0)
model = getattr(torchvision.models, name)(num_classes=1000)
if scale > 0:
    factorize(model)
for module in model.modules():
    if "StochasticDepth" in type(module).__name__ or isinstance(module, nn.Dropout):
        module.p = 0.0
model.train()
images = torch.randn(batch, 3, 160, 160)
labels = torch.arange(batch) * 37 % 1000
if layout == "channels_last":
    model = model.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
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
