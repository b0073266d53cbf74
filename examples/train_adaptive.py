"""Trains a model whose layers find their ranks, with onnxruntime and numpy alone: dynamical low-rank training (docs/rank-adaptive.md).

    lowrank artifacts model.onnx --adapt-ranks augmented --tolerance 0.1 -o step/
    python examples/train_adaptive.py step/ --data train.npz --val test.npz --epochs 5 --lr 0.02 -o trained.safetensors
    lowrank artifacts --write-back trained.safetensors -o trained.onnx

A file of images is an .npz or .safetensors file with `x` (float32, as the model takes them) and labels `y`; without one, random
images. How pictures become those, examples/train.py shows. Needs Python 3.9 or newer, and: pip install numpy onnxruntime
"""
import argparse, json, math, pathlib, sys

try:
    import numpy as np
    import onnxruntime as ort
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install numpy onnxruntime")

TYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[start + t["data_offsets"][0] : start + t["data_offsets"][1]], TYPES[t["dtype"]])
            .reshape(t["shape"]) for name, t in header.items()}


def write_safetensors(path, tensors, metadata):
    header, offset = {"__metadata__": metadata}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "F32", "shape": x.shape, "data_offsets": [offset, offset + x.nbytes]}
        offset += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(x.astype("<f4").tobytes() for x in tensors.values())
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("folder", type=pathlib.Path, help="what lowrank artifacts --adapt-ranks augmented wrote")
options.add_argument("--data", help="a file of images and labels")
options.add_argument("--val", help="a file of others, to measure on after every epoch")
options.add_argument("--epochs", type=int, default=1)
options.add_argument("--batch-size", type=int, default=32, help="images of an update (default: 32, or what the graphs are for)")
options.add_argument("--lr", type=float, default=0.01, help="learning rate (default: 0.01)")
options.add_argument("--constant", action="store_true", help="keep the rate, which falls as a cosine does otherwise")
options.add_argument("--in-order", action="store_true", help="do not shuffle the images")
options.add_argument("--verbose", action="store_true", help="a line for every update")
options.add_argument("--momentum-of-layers", action="store_true",
                     help="the optimizer keeps nothing of what is no layer: with SGD, biases and other weights move without momentum")
options.add_argument("-o", "--output", default="trained.safetensors")
args = options.parse_args()

if not (args.folder / "manifest.json").is_file():
    sys.exit(f"{args.folder} holds no training artifacts: write them with lowrank artifacts model.onnx --adapt-ranks augmented -o {args.folder}")
manifest = json.loads((args.folder / "manifest.json").read_text(encoding="utf-8"))
assert manifest["schema"] == "lowrank.artifacts/1"
if "adaptation" not in manifest:
    sys.exit(f"{args.folder} is of layers that keep their form: examples/train.py trains them")
adaptation = manifest["adaptation"]
layers, bases = adaptation["layers"], adaptation["bases"]
gradient, update, evaluation = manifest["gradient"], manifest["update"], manifest["eval"]
ort.set_default_logger_severity(3)  # errors alone
providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in ort.get_available_providers()]
sessions = {part["file"]: ort.InferenceSession(args.folder / part["file"], providers=providers)
            for part in (gradient, update, evaluation, bases)}
random = np.random.default_rng(0)


def run(part, **values):
    """Runs a graph on values named as the manifest names them; gives its outputs by those names."""
    feeds = {part["inputs"][name]: value for name, value in values.items() if name in part["inputs"]}
    if part["inputs"].get("masks"):  # dropout: drawn anew for every pass
        for mask in manifest["masks"]:
            kept = random.random([len(values["images"]), *mask["shape"]]) >= mask["ratio"]
            feeds[mask["name"]] = kept.astype(np.float32) / np.float32(1 - mask["ratio"])
    outputs = sessions[part["file"]].run(list(part["outputs"].values()), feeds)
    return dict(zip(part["outputs"], outputs))


# A layer is W = U S V^T. U (rows x a), S (a x b) and V^T (b x cols) lie in flat vectors, filled up with zeros: in those of the
# gradient graph ("coefficients"), where U and V^T are statistics, and in those of the graph of the bases ("bases").

def whole(layer, part, side):
    room = layer["core"][side]["shape"][0]
    return {"left": (layer["rows"], room), "core": (room, room), "right": (room, layer["cols"])}[part]


def get(vectors, layer, part, side):
    """A matrix with the zeros that fill it up."""
    place = layer[part][side]
    flat = vectors[place["vector"]][place["offset"] : place["offset"] + place["size"]]
    return flat.reshape(place["shape"]).transpose(layer[part]["axes"]).reshape(whole(layer, part, side))


def put(vectors, layer, part, side, matrix):
    place, axes = layer[part][side], layer[part]["axes"]
    filled = np.zeros(whole(layer, part, side), np.float32)
    filled[: matrix.shape[0], : matrix.shape[1]] = matrix
    tensor = filled.reshape([place["shape"][axis] for axis in axes]).transpose(np.argsort(axes))
    vectors[place["vector"]][place["offset"] : place["offset"] + place["size"]] = tensor.reshape(-1)


def factors(at):
    a, b = sizes[at]
    left, core, right = (get(now, layers[at], part, "coefficients") for part in ("left", "core", "right"))
    return left[:, :a], core[:a, :b], right[:b]


def unit(columns, least=0.0):
    """Columns longer than `least`, each of length 1, in float64."""
    columns = np.asarray(columns, np.float64)
    lengths = np.linalg.norm(columns, axis=0)
    return columns[:, lengths > least] / lengths[lengths > least]


def new_directions(basis, others):
    """Orthonormal columns that span, with those of the basis, what the others span too: none of what lies in the basis already."""
    basis = np.asarray(basis, np.float64)
    outside = lambda columns: columns - basis @ (basis.T @ columns)
    y = unit(outside(unit(outside(unit(others)), 1e-6)))
    room = min(len(basis) - basis.shape[1], y.shape[1])
    if room <= 0:
        return np.zeros((len(basis), 0))
    u, s, _ = np.linalg.svd(y, full_matrices=False)
    return np.linalg.qr(outside(u[:, :room][:, s[:room] > 1e-6 * s[0]]))[0]


def polished(columns):
    """Orthonormal but for rounding: nearer."""
    return columns - columns @ (columns.T @ columns - np.eye(columns.shape[1])) / 2


def widen(x, y):
    """U = [U | orth(gradient of U)], V likewise: W stays, and S gets zeros. Gives what the graph of the bases saw."""
    held = {kind: np.zeros(bases["lengths"][kind], np.float32) for kind in ("parameters", "statistics")}
    for slot in bases["statistics"]:
        if slot["name"] in others:
            kind, offset = others[slot["name"]]
            held["statistics"][slot["offset"] : slot["offset"] + slot["size"]] = now[kind][offset : offset + slot["size"]]
    for at, layer in enumerate(layers):
        for part, matrix in zip(("left", "core", "right"), factors(at)):
            put(held, layer, part, "bases", matrix)
    seen = run(bases, images=x, labels=y, **held, **scaled(bases))
    if not judged(seen, bases):
        return seen
    for at, layer in enumerate(layers):
        (a, b), (left, _, right) = sizes[at], factors(at)
        slope = {"parameters": seen["gradient"]}
        left = np.hstack([left, new_directions(left, get(slope, layer, "left", "bases")[:, :a])])
        right = np.hstack([right.T, new_directions(right.T, get(slope, layer, "right", "bases")[:b].T)])
        put(now, layer, "left", "coefficients", left)
        put(now, layer, "right", "coefficients", right.T)
        sizes[at] = left.shape[1], right.shape[1]
    return seen


def cut():
    """Leaves of each layer the smallest rank whose singular values behind it are a small enough part of all."""
    for at, layer in enumerate(layers):
        left, core, right = (np.asarray(matrix, np.float64) for matrix in factors(at))
        p, s, qt = np.linalg.svd(core, full_matrices=False)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]
        rank = int(np.sum(tails > adaptation["tolerance"] * tails[0]))
        rank = min(max(rank, layer["minRank"]), layer["maxRank"], len(s))
        p, q = p[:, :rank], qt[:rank].T
        put(now, layer, "left", "coefficients", polished(left @ p))
        put(now, layer, "core", "coefficients", np.diag(s[:rank]))
        put(now, layer, "right", "coefficients", polished(right.T @ q).T)
        for kind, buffer in buffers():  # what the optimizer keeps of S turns with the bases
            kept = np.asarray(get(buffer, layer, "core", "coefficients"), np.float64)[: len(p), : len(q)]
            turned = p.T @ kept @ q if kind == "first" else (p.T @ np.sqrt(kept) @ q) ** 2
            put(buffer, layer, "core", "coefficients", turned)
        sizes[at] = rank, rank


def buffers():
    count = manifest["lengths"]["parameters"]
    return [(kind, {"parameters": optimizer[i * count : (i + 1) * count]}) for i, kind in enumerate(adaptation["buffers"])]


def scaled(part):
    return {"scale": np.array(scale, np.float32)} if "scale" in part["inputs"] else {}


def judged(seen, part):
    """Whether a gradient can be used: in float16 it may be too large, and the scale of the loss is halved."""
    global scale, good
    if "scale" not in part["inputs"]:
        return True
    if not np.isfinite(seen["gradient"]).all():
        scale, good = scale / 2, 0
        return False
    good += 1
    if good == 2000:
        scale, good = scale * 2, 0
    return True


def move(x, y, lr, step):
    """An update of S and of all that is no layer; the bases stay."""
    global optimizer
    seen = run(gradient, images=x, labels=y, **now, **scaled(gradient))
    if not judged(seen, gradient):
        return seen
    now["statistics"] = seen["statistics"].copy()
    if args.momentum_of_layers:
        optimizer *= kept
    moved = run(update, parameters=now["parameters"], gradient=seen["gradient"], state=optimizer,
                learningRate=np.array(lr, np.float32), step=np.array(step, np.int64))
    now["parameters"], optimizer = moved["parameters"].copy(), moved["state"].copy()
    return seen


def evaluate(x, y, size):
    count = correct = loss = 0
    for i in range(0, len(x) - (size - 1 if manifest["batch"] else 0), size):
        seen = run(evaluation, images=x[i : i + size], labels=y[i : i + size], **now)
        many = len(x[i : i + size])
        count, correct, loss = count + many, correct + int(seen["correct"]), loss + float(seen["loss"]) * many
    return f"loss {loss / max(1, count):.9g}, {correct} of {count} right"


def images_of(path):
    if path is None:
        x = random.standard_normal([256, *manifest["imageShape"]], np.float32)
        return x, random.integers(0, manifest["classes"], len(x))
    data = np.load(path) if path.endswith(".npz") else read_safetensors(path)
    return data["x"].astype(np.float32), data["y"].astype(manifest["labels"]["type"])


initial = read_safetensors(args.folder / manifest["initial"]["file"])
now = {kind: initial[kind].copy() for kind in ("parameters", "statistics")}
optimizer = initial["state"].copy()
sizes = [(layer["startRank"], layer["startRank"]) for layer in layers]
of_layers = {layer[part]["name"] for layer in layers for part in ("left", "core", "right")}
others = {slot["name"]: (kind, slot["offset"]) for kind in ("parameters", "statistics") for slot in manifest[kind]
          if slot["name"] not in of_layers}
kept = np.zeros_like(optimizer)  # 1 where the optimizer keeps something of a layer
for row in kept.reshape(len(adaptation["buffers"]), manifest["lengths"]["parameters"]):
    for layer in layers:
        place = layer["core"]["coefficients"]
        row[place["offset"] : place["offset"] + place["size"]] = 1
scale, good = 65536.0, 0  # of the loss, where the graphs compute in float16

x, y = images_of(args.data)
validation = None if args.val is None else images_of(args.val)
size = manifest["batch"] or max(1, min(args.batch_size, len(x)))
per_epoch = len(x) // size
if per_epoch == 0:
    sys.exit(f"there are {len(x)} images, and an update takes {size}: write the artifacts with a smaller --batch-size")
# An epoch is divided into cycles of nearly one length, so that it ends with a cut.
cycles = max(1, per_epoch // (adaptation["coefficientSteps"] + 1))
borders = {cycle * per_epoch // cycles for cycle in range(cycles + 1)}
for epoch in range(args.epochs):
    order = np.arange(len(x)) if args.in_order else random.permutation(len(x))
    losses = []
    for i in range(per_epoch):
        rows, step = order[i * size : (i + 1) * size], epoch * per_epoch + i
        lr = args.lr if args.constant else args.lr * (1 + math.cos(math.pi * step / (args.epochs * per_epoch))) / 2
        seen = widen(x[rows], y[rows]) if i in borders else move(x[rows], y[rows], lr, step + 1)
        losses.append(float(seen["loss"]))
        if i + 1 in borders:
            cut()
        if args.verbose:
            print(f"update {step + 1}: loss {losses[-1]:.9g}, ranks {' '.join(str(min(pair)) for pair in sizes)}")
    measured = "" if validation is None else f"; validation: {evaluate(*validation, size)}"
    ranks = " ".join(str(a) for a, _ in sizes)
    print(f"epoch {epoch + 1}/{args.epochs}: loss {np.mean(losses):.5g}, ranks {ranks}{measured}", flush=True)

trained = {slot["name"]: now[kind][slot["offset"] : slot["offset"] + slot["size"]].reshape(slot["shape"])
           for kind in ("parameters", "statistics") for slot in manifest[kind]}
write_safetensors(args.output, trained, {"lowrank.artifacts": str(args.folder.resolve())})
print(f"written: {args.output}; the model: lowrank artifacts --write-back {args.output} -o model.onnx")
