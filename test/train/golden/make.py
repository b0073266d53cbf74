"""Writes the trajectories beside it, which test/train/trajectories.test.ts holds the project to: python make.py

PyTorch trains nets of about a hundred weights for five steps on two batches in turn. What it computes in float64 from weights
that are exact in float32 is the truth; a float32 run of the same shows how far a right implementation may lie from it.
Made with torch 2.15.0 and numpy 2.4.6.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

STEPS, BATCH, CLASSES, RANK = 5, 4, 3, 2
TOLERANCE = 1e-5  # of the test, of the largest number of a tensor
KINK = 5e-5  # nothing comes closer to where ReLU or MaxPool bend
PAIR = {"spatial": ([RANK, 4, 1, 3], [4, RANK, 3, 1]), "channel": ([RANK, 4, 3, 3], [4, RANK, 1, 1])}

RUNS = {
    "sgd": dict(optimizer="sgd", learningRate=0.1),
    "sgd-plain": dict(optimizer="sgd", momentum=0, learningRate=0.1),
    "nesterov": dict(optimizer="sgd", nesterov=True, learningRate=0.1),
    "adam": dict(optimizer="adam", beta1=0.8, beta2=0.99, epsilon=1e-3, learningRate=0.01),
    "adamw": dict(optimizer="adamw", weightDecay=0.1, learningRate=0.01),
    "rmsprop": dict(optimizer="rmsprop", beta2=0.99, epsilon=1e-3, learningRate=0.01),
    "rmsprop-plain": dict(optimizer="rmsprop", momentum=0, epsilon=1e-3, learningRate=0.01),
    "channel": dict(scheme="channel", optimizer="sgd", learningRate=0.1),
    "frobenius-spatial": dict(optimizer="sgd", frobeniusDecay=0.1, clip=0.1, learningRate=0.1),
    "frobenius-channel": dict(scheme="channel", optimizer="adam", frobeniusDecay=0.1, learningRate=0.01),
    "label-smoothing": dict(optimizer="sgd", labelSmoothing=0.1, learningRate=0.1),
    "binary": dict(loss="binary-cross-entropy", optimizer="sgd", learningRate=0.5),
    "binary-smoothing": dict(loss="binary-cross-entropy", labelSmoothing=0.2, optimizer="sgd", learningRate=0.5),
}
DEFAULTS = dict(momentum=0.9, nesterov=False, beta1=0.9, beta2=0.999, epsilon=1e-8, weightDecay=0.01)
DEFAULTS |= dict(frobeniusDecay=0, labelSmoothing=0, clip=None)


def decimals(generator, shape, low, high):
    return np.round(generator.uniform(low, high, shape), 3).astype(np.float32)


def draw(seed):
    generator = np.random.default_rng(seed)
    images = decimals(generator, [2, BATCH, 1, 6, 6], -1.5, 1.5)
    classes = generator.integers(0, CLASSES, [2, BATCH])
    several = generator.integers(0, 2, [2, BATCH, CLASSES])
    weights = {}
    for scheme, (v, u) in PAIR.items():
        shapes = {
            "stem.weight": [4, 1, 3, 3], "stem.bias": [4], "body.v": v, "body.u": u,
            "norm.scale": [4], "norm.shift": [4], "norm.mean": [4], "norm.variance": [4],
            "head.v": [RANK, 4], "head.u": [CLASSES, RANK], "head.bias": [CLASSES],
        }  # fmt: skip
        positive = ("norm.scale", "norm.variance")
        weights[scheme] = {
            name: decimals(generator, shape, *((0.5, 1.5) if name in positive else (-0.8, 0.8)))
            for name, shape in shapes.items()
        }
    return images, classes, several, weights


def statistics(weights):
    return [name for name in weights if name in ("norm.mean", "norm.variance")]


def forward(w, x, scheme, margins):
    def bend(z):
        margins.append(z.detach().abs().min().item())
        return F.relu(z)

    h = bend(F.conv2d(x, w["stem.weight"], w["stem.bias"], padding=1))
    between, behind = ((0, 1), (1, 0)) if scheme == "spatial" else (1, 0)
    h = F.conv2d(F.conv2d(h, w["body.v"], padding=between), w["body.u"], padding=behind)
    norm = [w[f"norm.{name}"] for name in ("mean", "variance", "scale", "shift")]
    h = bend(F.batch_norm(h, *norm, training=True, momentum=0.1))
    windows = h.detach().unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2).sort(-1).values
    gaps = (windows[..., -1] - windows[..., -2])[windows[..., -1] > 0]
    margins.append(gaps.min().item())
    h = F.max_pool2d(h, 2).mean((2, 3))
    return h @ w["head.v"].T @ w["head.u"].T + w["head.bias"]


def loss_of(logits, classes, several, loss, smoothing):
    if loss == "cross-entropy":
        return F.cross_entropy(logits, classes, label_smoothing=smoothing)
    targets = several.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, targets)


def penalty_of(w):
    body = torch.einsum("orab,ricd->oiabcd", w["body.u"], w["body.v"])
    return (body.square().sum() + (w["head.u"] @ w["head.v"]).square().sum()) / 2


def optimizer_of(settings, groups):
    s, lr = settings, settings["learningRate"]
    if s["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=s["momentum"], nesterov=s["nesterov"])
    if s["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(groups, lr=lr, alpha=s["beta2"], eps=s["epsilon"], momentum=s["momentum"])
    kind = torch.optim.Adam if s["optimizer"] == "adam" else torch.optim.AdamW
    return kind(groups, lr=lr, betas=(s["beta1"], s["beta2"]), eps=s["epsilon"])


def train(data, run, dtype):
    images, classes, several, weights = data
    settings = DEFAULTS | run
    scheme = run.get("scheme", "spatial")
    start = weights[scheme]
    w = {name: torch.tensor(value, dtype=dtype) for name, value in start.items()}
    trained = {name: value.requires_grad_() for name, value in w.items() if name not in statistics(start)}
    factors = ("body.v", "body.u", "head.v", "head.u") if settings["frobeniusDecay"] > 0 else ()
    is_decayed = {name: value.ndim >= 2 and name not in factors for name, value in trained.items()}
    groups = [
        {
            "params": [value for name, value in trained.items() if is_decayed[name] == decayed],
            "weight_decay": settings["weightDecay"] if decayed else 0,
        }
        for decayed in (True, False)
    ]
    optimizer = optimizer_of(settings, groups)
    margins, steps, gradients = [], [], None
    for step in range(STEPS):
        at = step % 2
        logits = forward(w, torch.tensor(images[at], dtype=dtype), scheme, margins)
        labels = torch.tensor(classes[at]), torch.tensor(several[at])
        loss = loss_of(logits, *labels, run.get("loss", "cross-entropy"), settings["labelSmoothing"])
        optimizer.zero_grad()
        loss.backward()
        gradients = gradients or {name: value.grad.clone() for name, value in trained.items()}
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), settings["clip"] or float("inf"))
        if settings["frobeniusDecay"] > 0:
            (settings["frobeniusDecay"] * penalty_of(w)).backward()
        optimizer.step()
        tensors = {name: value.detach().clone() for name, value in w.items()}
        steps.append({"loss": loss.detach(), "gradientNorm": norm, "tensors": tensors})
    return {"gradients": gradients, "steps": steps}, min(margins)


def largest_gap(truth, other):
    """The largest difference of two results, relative to the largest number of its tensor."""
    if isinstance(truth, torch.Tensor):
        return ((truth - other).abs().max() / truth.abs().max()).item()
    pairs = [(truth[key], other[key]) for key in truth] if isinstance(truth, dict) else zip(truth, other)
    return max(largest_gap(a, b) for a, b in pairs)


def numbers_of(value):
    """A tensor's numbers, each off by at most 5e-7 of the largest."""
    if isinstance(value, np.ndarray):
        return [round(number, 3) for number in value.reshape(-1).tolist()]
    places = 6 - int(np.floor(np.log10(value.abs().max().item())))
    rounded = [round(number, places) for number in value.reshape(-1).tolist()]
    return rounded if value.ndim > 0 else rounded[0]


def text_of(value, indent=""):
    """JSON with a line for each tensor."""
    inner = indent + "  "
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return json.dumps(numbers_of(value))
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(key)}: {text_of(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + text_of(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value)


def main():
    torch.set_num_threads(1)
    folder = Path(__file__).parent
    for seed in range(1000):
        data = draw(seed)
        results = {name: train(data, run, torch.float64) for name, run in RUNS.items()}
        if min(margin for _, margin in results.values()) >= KINK:
            break
    else:
        raise SystemExit(f"every seed comes closer than {KINK} to a kink")
    images, classes, several, weights = data
    start = {
        "seed": seed,
        "images": list(images),
        "classes": list(classes),
        "several": list(several),
        "weights": {
            scheme: {name: {"shape": np.array(value.shape), "data": value} for name, value in tensors.items()}
            for scheme, tensors in weights.items()
        },
    }
    (folder / "start.json").write_text(text_of(start) + "\n")
    for name, run in RUNS.items():
        truth, margin = results[name]
        gap = largest_gap(truth, train(data, run, torch.float32)[0])
        print(f"{name}: float32 is off by {gap:.1e}, nearest kink {margin:.1e}")
        assert gap < TOLERANCE / 5, name
        settings = {key: value for key, value in run.items() if key not in ("scheme", "loss", "learningRate")}
        head = {
            "scheme": run.get("scheme", "spatial"),
            "loss": run.get("loss", "cross-entropy"),
            "learningRate": run["learningRate"],
            "settings": {"weightDecay": DEFAULTS["weightDecay"]} | settings,
        }
        (folder / f"{name}.json").write_text(text_of(head | truth) + "\n")


main()
