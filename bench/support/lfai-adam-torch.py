"""One contender of bench/lfai-adam.ts: lfai-adam-torch.py layers.json steps batch threads

LFAI-WS-Adam in eager PyTorch, layer by layer: truncated SVD, then Adam on mean ||s(x V^T U^T) - s(x W^T)||^2 with
Gaussian x. A neuron owns rowsPerNeuron rows; each sees its own part of x.
"""

import json
import sys
import time

import numpy as np
import torch

path, steps, batch, threads = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(threads)
torch.manual_seed(0)
activations = {"linear": lambda z: z, "Relu": torch.relu}
svd_seconds = steps_seconds = 0.0
falls = []
for layer in json.load(open(path)):
    rows, cols, rank, k = (layer[key] for key in ("rows", "cols", "rank", "rowsPerNeuron"))
    s = activations[layer["activation"]]
    w = torch.from_numpy(np.fromfile(layer["file"], np.float32).reshape(rows, cols))
    started = time.perf_counter()
    p, sigma, q = torch.linalg.svd(w, full_matrices=False)
    root = sigma[:rank].sqrt()
    u = (p[:, :rank] * root).reshape(rows // k, k * rank).contiguous().requires_grad_()
    v = (root[:, None] * q[:rank]).contiguous().requires_grad_()
    svd_seconds += time.perf_counter() - started
    teacher = w.reshape(rows // k, k * cols)
    lr = 0.005 * torch.cat([u.detach().reshape(-1), v.detach().reshape(-1)]).square().mean().sqrt().item()
    optimizer = torch.optim.Adam([u, v], lr=lr)
    losses = []
    started = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
        x = torch.randn(batch, k * cols)
        with torch.no_grad():
            target = s(x @ teacher.T)
        h = (x.reshape(batch * k, cols) @ v.T).reshape(batch, k * rank)
        loss = (s(h @ u.T) - target).square().sum() / batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    steps_seconds += time.perf_counter() - started
    if layer["activation"] != "linear":
        tenth = max(1, steps // 10)
        falls.append((sum(losses[-tenth:]) / sum(losses[:tenth])).item())
fall = sum(falls) / max(1, len(falls))
print(json.dumps({"svd": svd_seconds, "steps": steps_seconds, "version": torch.__version__, "falls": fall}))
