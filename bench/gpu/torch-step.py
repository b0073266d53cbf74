"""PyTorch's contender of bench/gpu.ts: torch-step.py '{"architecture","scale","batch","side","device","precision","seed"}'

Eager, channels_last, autocast for float16 and bfloat16 (with a GradScaler for float16), TF32 as PyTorch has it by default.
"""

import contextlib
import json
import sys
import time

import torch
import torchvision
from torch import nn

given = json.loads(sys.argv[1])
scale, batch, side, device = given["scale"], given["batch"], given["side"], given["device"]


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


torch.manual_seed(given.get("seed", 0))
model = getattr(torchvision.models, given["architecture"])(num_classes=1000)
if scale > 0:
    factorize(model)
for module in model.modules():
    if "StochasticDepth" in type(module).__name__ or isinstance(module, nn.Dropout):
        module.p = 0.0
model.train()
model = model.to(device, memory_format=torch.channels_last)
images = torch.randn(batch, 3, side, side).to(device, memory_format=torch.channels_last)
labels = (torch.arange(batch) * 37 % 1000).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
half = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(given["precision"])
scaler = torch.amp.GradScaler(device, enabled=half == torch.float16 and device == "cuda")
is_cuda = device == "cuda"


def autocast():
    return torch.autocast(device, dtype=half) if half is not None else contextlib.nullcontext()


def synchronize():
    if is_cuda:
        torch.cuda.synchronize()


def roofline():
    """Measured bandwidth of a copy (GB/s, read and write) and matrix rate (TFLOP/s) of the card."""
    if not is_cuda:
        return None
    source = torch.empty(2**28, device=device)
    target = torch.empty_like(source)
    a = torch.randn(8192, 8192, device=device, dtype=half or torch.float32)

    def best(action, rounds):
        times = []
        for _ in range(rounds):
            synchronize()
            started = time.perf_counter()
            action()
            synchronize()
            times.append(time.perf_counter() - started)
        return min(times)

    copy = best(lambda: target.copy_(source), 10)
    matmul = best(lambda: a @ a, 10)
    del source, target
    return {"copyGBs": 2 * 4 * 2**28 / copy / 1e9, "matrixTFLOPs": 2 * 8192**3 / matmul / 1e12}


say = lambda message: print(json.dumps(message), flush=True)
say({"parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__, "roofline": roofline()})
for line in sys.stdin:
    losses, together = [], torch.zeros((), device=device)
    synchronize()
    started = time.perf_counter()
    for i in range(int(line)):
        optimizer.zero_grad()
        with autocast():
            loss = criterion(model(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        together += loss.detach().float()
        if i % 10 == 9:
            losses.append(together.item() / 10)
            together.zero_()
    synchronize()
    spent = (time.perf_counter() - started) * 1000 / int(line)
    peak = torch.cuda.max_memory_allocated() / 2**20 if is_cuda else None
    say({"milliseconds": spent, "losses": losses, "peakMiB": peak})
