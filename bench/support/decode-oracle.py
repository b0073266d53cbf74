"""Images per second of PyTorch's DataLoader with torchvision v2: FOLDER SIZE pil|tensor BATCH WORKERS -> one JSON line."""
import json
import os
import sys
import time

import torch
from torchvision.datasets import ImageFolder
from torchvision.io import decode_image
from torchvision.transforms import v2

folder, size, kind, batch, workers = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
normalize = [
    v2.RandomResizedCrop(size, antialias=True),
    v2.RandomHorizontalFlip(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
]
if kind == "pil":
    # torchvision's own order: crop and flip as PIL images, then to tensors.
    data = ImageFolder(folder, v2.Compose(normalize[:2] + [v2.ToImage()] + normalize[2:]))
else:
    data = ImageFolder(folder, v2.Compose(normalize), loader=lambda path: decode_image(path, mode="RGB"))
loader = torch.utils.data.DataLoader(
    data, batch_size=batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True
)


def cpu_seconds():
    """Of this process and its workers."""
    total = 0
    pids = [os.getpid()] + [worker.pid for worker in loader._iterator._workers]
    for pid in pids:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


for epoch in range(2):
    if epoch == 1:
        before = cpu_seconds()
        started = time.perf_counter()
    count = sum(images.shape[0] for images, _ in loader)
seconds = time.perf_counter() - started
print(json.dumps({"images": count, "seconds": seconds, "cpuSeconds": cpu_seconds() - before}))
