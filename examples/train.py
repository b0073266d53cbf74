"""Trains a model with onnxruntime alone, from what `lowrank artifacts model.onnx -o training/` wrote.

    python examples/train.py training/ --data photos/train --val photos/val --epochs 5 --lr 0.02 -o trained.safetensors
    python examples/train.py training/ --data batch.npz --steps 20 --lr 0.05
    lowrank artifacts --write-back trained.safetensors -o trained.onnx

A folder of images has a folder for each class; they are shown as the manifest's `preparation` says. A batch is an .npz or
.safetensors file with images `x` (float32, as the model takes them) and labels `y`; without any data, random images.
Needs Python 3.9 or newer, and: pip install numpy onnxruntime pillow
"""
import argparse, json, math, pathlib, sys


def need(package, why):
    """The module of a package that pip installs, or the end of this program with what to do."""
    try:
        return __import__({"pillow": "PIL"}.get(package, package))
    except ImportError:
        sys.exit(f"{package} is missing, {why}: pip install numpy onnxruntime pillow")


np = need("numpy", "which holds the numbers")
ort = need("onnxruntime", "which runs the graphs")

TYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


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
options.add_argument("folder", type=pathlib.Path, help="what lowrank artifacts wrote")
options.add_argument("--data", help="a folder of images, or a file with one batch")
options.add_argument("--val", help="a folder of images to measure on after every epoch")
options.add_argument("--epochs", type=int, default=5, help="passes over a folder of images (default: 5)")
options.add_argument("--batch-size", type=int, default=32, help="images of a step (default: 32, or what the graphs are for)")
options.add_argument("--steps", type=int, default=5, help="updates on one batch (default: 5)")
options.add_argument("--lr", type=float, default=0.01, help="learning rate (default: 0.01)")
options.add_argument("-o", "--output", default="trained.safetensors")
args = options.parse_args()

if not (args.folder / "manifest.json").is_file():
    sys.exit(f"{args.folder} holds no training artifacts: write them with lowrank artifacts model.onnx -o {args.folder}")
manifest = json.loads((args.folder / "manifest.json").read_text(encoding="utf-8"))
assert manifest["schema"] == "lowrank.artifacts/1"
gradient, update, evaluation = manifest["gradient"], manifest["update"], manifest["eval"]
ort.set_default_logger_severity(3)  # errors alone
providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in ort.get_available_providers()]
sessions = {part["file"]: ort.InferenceSession(args.folder / part["file"], providers=providers)
            for part in (gradient, update, evaluation)}
random = np.random.default_rng(0)


class Folder:
    """Images in folders of their classes, as inputs of the model."""

    def __init__(self, path):
        need("pillow", "which reads images")
        self.preparation = manifest["preparation"]
        self.labels = manifest.get("labels")  # none with a teacher, unless it was asked for
        if self.preparation is None or self.labels and self.labels["type"] != "int64":
            sys.exit("the model takes no images of one class each: give a batch of its inputs with --data")
        root = pathlib.Path(path)
        if self.labels is None:
            self.classes, self.samples = [], [(file, 0) for file in sorted(root.rglob("*")) if file.suffix.lower() in ENDINGS]
            if not self.samples:
                sys.exit(f"{root} holds no images")
            return
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        files = [(name, file) for name in names for file in sorted((root / name).rglob("*")) if file.suffix.lower() in ENDINGS]
        if not files:
            sys.exit(f"{root} holds no images: it needs a folder for each class, with images in it")
        self.classes = self.order(names, root)
        self.samples = [(file, self.classes.index(name)) for name, file in files if name in self.classes]

    def order(self, names, root):
        """The folders' names in the order of the model's outputs."""
        known = manifest["classNames"]
        for said in [] if known is None else [known["ids"], known["titles"]]:
            if set(names) <= set(said):
                return said
        if len(names) == manifest["classes"]:
            return names
        told = f"; the model names {', '.join(known['ids'][:5])} …" if known else ""
        sys.exit(f"{root} has {len(names)} classes and the model {manifest['classes']} outputs{told}: "
                 "give the model a new head first (lowrank train --new-head)")

    def __len__(self):
        return len(self.samples)

    def image(self, file, mirrored):
        from PIL import Image
        size, resize = self.preparation["size"], self.preparation["resize"]
        filter = Image.Resampling.BICUBIC if resize["interpolation"] == "bicubic" else Image.Resampling.BILINEAR
        width, height = size["width"], size["height"]
        with Image.open(file) as opened:
            picture = opened.convert("RGB" if len(self.preparation["normalization"]["mean"]) == 3 else "L")
        if resize["rule"] == "stretch":
            picture = picture.resize((width, height), filter)
        else:
            short = min(picture.size)
            picture = picture.resize([resize["shorterSide"] * side // short for side in picture.size], filter)
            left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
            picture = picture.crop((left, top, left + width, top + height))
        normalization = self.preparation["normalization"]
        pixels = np.asarray(picture, np.float32).reshape(height, width, -1)
        x = (pixels / 255 - np.float32(normalization["mean"])) / np.float32(normalization["deviation"])
        x = x[:, ::-1] if mirrored else x
        return x if manifest["layout"] == "nhwc" else x.transpose(2, 0, 1)

    def batches(self, size, shuffled):
        """Images and labels; shuffled ones are mirrored at random, and an incomplete batch is left out."""
        order = random.permutation(len(self)) if shuffled else np.arange(len(self))
        for start in range(0, len(self), size):
            rows = [self.samples[i] for i in order[start : start + size]]
            if len(rows) < size and (shuffled or manifest["batch"]):
                return
            x = np.stack([self.image(file, shuffled and random.random() < 0.5) for file, _ in rows])
            yield x.astype(np.float32), np.array([label for _, label in rows], np.int64)

    def metadata(self):
        """How the images were shown, for the model: the keys of docs/metadata.md."""
        normalization, size, resize = (self.preparation[part] for part in ("normalization", "size", "resize"))
        numbers = {"mean": normalization["mean"], "std": normalization["deviation"]}
        return {
            "lowrank.normalization": normalization["name"] or json.dumps(numbers),
            **({"lowrank.image_size": str(size["width"])} if size["width"] == size["height"] else {}),
            "lowrank.resize": str(resize["shorterSide"] or "stretch"),
            "lowrank.interpolation": resize["interpolation"],
            **({"lowrank.classes": json.dumps(self.classes)} if self.classes else {}),
        }


def run(part, **values):
    """Runs a graph on values named as the manifest names them; gives its outputs by those names."""
    feeds = {part["inputs"][name]: value for name, value in values.items() if name in part["inputs"]}
    if part["inputs"].get("masks"):  # dropout: drawn anew for every step
        for mask in manifest["masks"]:
            kept = random.random([len(values["images"]), *mask["shape"]]) >= mask["ratio"]
            feeds[mask["name"]] = kept.astype(np.float32) / np.float32(1 - mask["ratio"])
    outputs = sessions[part["file"]].run(list(part["outputs"].values()), feeds)
    return dict(zip(part["outputs"], outputs))


state = read_safetensors(args.folder / manifest["initial"]["file"])
parameters, statistics, optimizer = state["parameters"], state["statistics"], state["state"]
scale, good, updates = 65536.0, 0, 0  # of the loss, where the graph computes in float16


def train(x, y, lr):
    """One update on a batch. Gives what the gradient graph saw, and the norm of the gradient: None where it was skipped."""
    global parameters, statistics, optimizer, scale, good, updates
    scaled = {"scale": np.array(scale, np.float32)} if "scale" in gradient["inputs"] else {}
    seen = run(gradient, parameters=parameters, statistics=statistics, images=x, labels=y, **scaled)
    if scaled and not np.isfinite(seen["gradient"]).all():  # too large for float16: again with half the scale
        scale, good = scale / 2, 0
        return seen, None
    good, updates = good + 1, updates + 1
    if good == 2000:
        scale, good = scale * 2, 0
    statistics = seen["statistics"]
    moved = run(update, parameters=parameters, gradient=seen["gradient"], state=optimizer,
                learningRate=np.array(lr, np.float32), step=np.array(updates, np.int64))
    parameters, optimizer = moved["parameters"], moved["state"]
    return seen, moved["gradientNorm"]


def evaluate(batches):
    count = correct = loss = 0
    for x, y in batches:
        seen = run(evaluation, parameters=parameters, statistics=statistics, images=x, labels=y)
        count, correct, loss = count + len(x), correct + int(seen["correct"]), loss + float(seen["loss"]) * len(x)
    if count == 0:
        sys.exit("there are fewer images than the graphs take at once: write the artifacts with a smaller --batch-size")
    return f"loss {loss / count:.9g}, {correct} of {count} right"


metadata = {"lowrank.artifacts": str(args.folder.resolve())}
if args.data is not None and pathlib.Path(args.data).is_dir():
    images, validation = Folder(args.data), None if args.val is None else Folder(args.val)
    size = manifest["batch"] or max(1, min(args.batch_size, len(images)))
    total = args.epochs * (len(images) // size)
    if total == 0:
        sys.exit(f"{args.data} has {len(images)} images, and a step takes {size}: write the artifacts with a smaller --batch-size")
    known = f" of {len(images.classes)} classes" if images.classes else ""
    print(f"{len(images)} images{known}, {total} updates of {size} images")
    for epoch in range(1, args.epochs + 1):
        seen = []
        for x, y in images.batches(size, shuffled=True):
            lr = args.lr * (1 + math.cos(math.pi * updates / total)) / 2
            seen.append(train(x, y, lr)[0])
        loss = np.mean([float(each["loss"]) for each in seen])
        correct = sum(int(each["correct"]) for each in seen)
        measured = "" if validation is None else f"; validation: {evaluate(validation.batches(size, shuffled=False))}"
        print(f"epoch {epoch}/{args.epochs}: loss {loss:.5g}, {correct} of {len(seen) * size} right{measured}", flush=True)
    metadata.update(images.metadata())
else:
    if args.data is None:
        batch = manifest["batch"] or 8
        x = random.standard_normal([batch, *manifest["imageShape"]], np.float32)
        y = random.integers(0, manifest["classes"] or 1, batch)
    else:
        data = np.load(args.data) if args.data.endswith(".npz") else read_safetensors(args.data)
        x = data["x"].astype(np.float32)
        y = data["y"].astype(manifest["labels"]["type"]) if "labels" in manifest else None
    for step in range(1, args.steps + 1):
        seen, norm = train(x, y, args.lr)
        moved = f"skipped, scale {scale:g}" if norm is None else f"{seen['correct']} of {len(x)} right, gradient norm {norm:.9g}"
        print(f"step {step}: loss {seen['loss']:.9g}, {moved}")
    print(f"evaluation: {evaluate([(x, y)])}")


def tensors(slots, flat):
    return {t["name"]: flat[t["offset"] : t["offset"] + t["size"]].reshape(t["shape"]) for t in slots}


trained = {**tensors(manifest["parameters"], parameters), **tensors(manifest["statistics"], statistics)}
write_safetensors(args.output, trained, metadata)
print(f"written: {args.output}; the model: lowrank artifacts --write-back {args.output} -o model.onnx")
