"""PyTorch's contender of bench/gpu.ts: torch-step.py '{"architecture","scale","batch","side","device","precision","seed"}'

Eager, channels_last, autocast for float16 and bfloat16 (with a GradScaler for float16), TF32 as PyTorch has it by default.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from torch_model import build, training  # noqa: E402

given = json.loads(sys.argv[1])
scale, batch, side, device = given["scale"], given["batch"], given["side"], given["device"]

model = build(given["architecture"], scale, given.get("seed", 0))
model = model.to(device, memory_format=torch.channels_last)
images = torch.randn(batch, 3, side, side).to(device, memory_format=torch.channels_last)
labels = (torch.arange(batch) * 37 % 1000).to(device)
optimizer, criterion = training(model)
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
