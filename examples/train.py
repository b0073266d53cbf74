"""Trains a model with numpy and onnxruntime alone, from what `lowrank-artifacts model.onnx -o training/` wrote.

    python examples/train.py training/ --data batch.npz --steps 20 --lr 0.05 -o trained.safetensors

The batch is a .npz or .safetensors file with images `x` (float32, as the model takes them) and labels `y`; without one,
random images. Needs: pip install numpy onnxruntime
"""
import argparse, json, pathlib
import numpy as np
import onnxruntime as ort

TYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[start + t["data_offsets"][0] : start + t["data_offsets"][1]], TYPES[t["dtype"]])
            .reshape(t["shape"]) for name, t in header.items()}


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "F32", "shape": x.shape, "data_offsets": [offset, offset + x.nbytes]}
        offset += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(x.astype("<f4").tobytes() for x in tensors.values())
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("folder", type=pathlib.Path)
options.add_argument("--data")
options.add_argument("--steps", type=int, default=5)
options.add_argument("--lr", type=float, default=0.01)
options.add_argument("-o", "--output", default="trained.safetensors")
args = options.parse_args()

manifest = json.loads((args.folder / "manifest.json").read_text())
assert manifest["schema"] == "lowrank.artifacts/1"
gradient, update, evaluation = manifest["gradient"], manifest["update"], manifest["eval"]
sessions = {part["file"]: ort.InferenceSession(args.folder / part["file"]) for part in (gradient, update, evaluation)}
random = np.random.default_rng(0)

if args.data is None:
    batch = manifest["batch"] or 8
    x = random.standard_normal([batch, *manifest["imageShape"]], np.float32)
    y = random.integers(0, manifest["classes"], batch)
else:
    data = np.load(args.data) if args.data.endswith(".npz") else read_safetensors(args.data)
    x, y = data["x"].astype(np.float32), data["y"].astype(np.int64)


def run(part, **values):
    """Runs a graph on values named as the manifest names them; gives its outputs by those names."""
    feeds = {part["inputs"][name]: value for name, value in values.items()}
    if part["inputs"].get("masks"):  # dropout: drawn anew for every step
        for mask in manifest["masks"]:
            kept = random.random([len(x), *mask["shape"]]) >= mask["ratio"]
            feeds[mask["name"]] = kept.astype(np.float32) / np.float32(1 - mask["ratio"])
    outputs = sessions[part["file"]].run(list(part["outputs"].values()), feeds)
    return dict(zip(part["outputs"], outputs))


state = read_safetensors(args.folder / manifest["initial"]["file"])
parameters, statistics, optimizer = state["parameters"], state["statistics"], state["state"]
scale, good, skipped = 65536.0, 0, 0  # of the loss, where the graph computes in float16
for step in range(1, args.steps + 1):
    scaled = {"scale": np.array(scale, np.float32)} if "scale" in gradient["inputs"] else {}
    seen = run(gradient, parameters=parameters, statistics=statistics, images=x, labels=y, **scaled)
    if scaled and not np.isfinite(seen["gradient"]).all():  # too large for float16: again with half the scale
        scale, good, skipped = scale / 2, 0, skipped + 1
        print(f"step {step}: loss {seen['loss']:.9g}, skipped, scale {scale:g}")
        continue
    good += 1
    if good == 2000:
        scale, good = scale * 2, 0
    statistics = seen["statistics"]
    moved = run(update, parameters=parameters, gradient=seen["gradient"], state=optimizer,
                learningRate=np.array(args.lr, np.float32), step=np.array(step - skipped, np.int64))
    parameters, optimizer = moved["parameters"], moved["state"]
    print(f"step {step}: loss {seen['loss']:.9g}, {seen['correct']} of {len(x)} right, gradient norm {moved['gradientNorm']:.9g}")

final = run(evaluation, parameters=parameters, statistics=statistics, images=x, labels=y)
print(f"evaluation: loss {final['loss']:.9g}, {final['correct']} of {len(x)} right")


def tensors(slots, flat):
    return {t["name"]: flat[t["offset"] : t["offset"] + t["size"]].reshape(t["shape"]) for t in slots}


write_safetensors(args.output, {**tensors(manifest["parameters"], parameters), **tensors(manifest["statistics"], statistics)})
