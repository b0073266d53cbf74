"""Compares the gradients of lowrank's training step with PyTorch's, for docs/models-table.md.

    exports-env/bin/python scripts/models-table/gradients.py FOLDER [NAME ...]
    exports-env/bin/python scripts/models-table/gradients.py FOLDER print

Each model of export.py is made anew, all its parameters moved a little so that no two are alike, exported as there into
FOLDER/gradients, and differentiated by cross entropy on four images of noise, once by PyTorch in float64 and once by
gradients.js, of which `npm run build` must have been run. BatchNormalization is in training mode where the file still has
its running statistics, else (folded into a convolution, or at the batch of the file) in inference mode; nothing is dropped.
A tensor of the file is found by its numbers among those that PyTorch computes with, whatever the axes' order: parameters,
what is computed of them alone, and weights of convolutions times what was folded into them. Its error is ‖difference‖ over
the norm of PyTorch's gradient, or over a thousandth of what is usual in the model for so many numbers, where that is more.
What float32 alone costs is measured by PyTorch's own gradient in float32. Where an
activation that bends lies so near its bend that rounding decides, a gradient is another: what is beyond the tolerance is
tried on other images, and the best of three counts.
FOLDER/gradients.json keeps what was found; models that are there are not tried again. The section of the document is
written anew.
"""

import itertools
import json
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import torch
from torch import nn

from export import CLASSES, MODELS, export, settle

BATCH = 4
TOLERANCE, DRAWS = 1e-4, 3
SMALLEST = 1e-3  # of the usual size of a gradient: below, rounding is all there is
HERE = pathlib.Path(__file__).parent
NAMES = [
    'tv_resnet18', 'timm_vit_tiny', 'timm_deit_tiny', 'timm_swin_tiny', 'timm_convnextv2_atto', 'tv_mobilenet_v3_small',
    'tv_regnet_y', 'tv_densenet121', 'timm_levit_128s', 'timm_efficientformer_l1', 'timm_nfnet_l0', 'timm_coatnet_nano',
    'timm_mobilevit_xxs', 'own_stn']


class Recorder(torch.overrides.TorchFunctionMode):
    """Keeps the gradients of all that PyTorch computes of so many numbers."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes, self.tensors = sizes, []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, torch.Tensor) and value.requires_grad and not value.is_leaf and value.numel() in self.sizes:
                value.retain_grad()
                self.tensors.append(value)
        return result


def make(name):
    torch.manual_seed(0)
    net = settle(MODELS[name][0]())
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            spread = 0.1 * parameter.std().item() if parameter.numel() > 1 else 0
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * max(spread, 0.01))
    return net


def gradients_of(net, images, labels, statistics, sizes, precision=torch.float64):
    """All that may be a tensor of the file, as (name, value, gradient)."""
    means = [value for slot, value in statistics]
    net = net.to(precision)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            own = module.running_mean.float().numpy()
            module.train(any(own.shape == mean.shape and np.allclose(own, mean, atol=1e-7) for mean in means))
    recorder = Recorder(sizes)
    with recorder:
        loss = nn.functional.cross_entropy(net(images.to(precision)), labels)
    loss.backward()
    found = [(name, value) for name, value in net.named_parameters() if value.grad is not None]
    found += [(f'computed {i}', value) for i, value in enumerate(recorder.tensors) if value.grad is not None]
    return loss.item(), [(name, value.detach().numpy(), value.grad.numpy()) for name, value in found]


def laid_out(value, gradient, like):
    """The gradient with its axes as those of `like` lie, whose numbers `value` has; None where it has not."""
    if value.size != like.size:
        return None
    scale = np.abs(like).max() + 1e-12
    if np.abs(np.sort(value, axis=None) - np.sort(like, axis=None)).max() > 1e-5 * scale:
        return None
    squeezed, other = np.squeeze(value), np.squeeze(gradient)
    for order in itertools.permutations(range(squeezed.ndim)):
        if np.abs(squeezed.transpose(order).ravel() - like.ravel()).max() <= 1e-5 * scale:
            return other.transpose(order).reshape(like.shape)
    return None


def unfolded(net, value, like):
    """Of a convolution's weight, into which a normalization was folded: the factor of each of its channels, or None."""
    if value.shape != like.shape or like.ndim < 3:
        return None
    rows, own = value.reshape(len(value), -1), like.reshape(len(like), -1)
    factor = (rows * own).sum(1) / (rows * rows).sum(1)
    return factor if np.abs(factor[:, None] * rows - own).max() <= 1e-5 * np.abs(own).max() else None


def normalizations(net):
    for name, module in net.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            deviation = (module.running_var.double() + module.eps).sqrt()
            yield name, module, (module.weight / deviation).detach().numpy()


def compare(net, known, parameters, gradient):
    """Of each parameter of the file: the tensor of PyTorch that it is, and its gradient; None where none was found."""
    pairs, factors = {}, {}
    for slot, value in parameters:
        own = gradient[slot['name']]
        for name, other, expected in known:
            fitting = laid_out(other, expected, value)
            if fitting is not None:
                pairs[slot['name']] = (name, own, fitting)
                break
        else:
            for name, other, expected in known:
                factor = unfolded(net, other, value)
                if factor is not None:
                    shaped = factor.reshape(-1, *[1] * (value.ndim - 1))
                    pairs[slot['name']] = (f'{name} (folded)', own * shaped, expected)
                    factors[slot['name']] = factor
                    break
    # A bias that came of folding has the gradient of the normalization's own.
    by_name = {name: expected for name, _, expected in known}
    for slot, value in parameters:
        if slot['name'] in pairs or value.ndim != 1:
            continue
        for name, module, factor in normalizations(net):
            if factor.shape == value.shape and name not in factors and any(
                    f.shape == factor.shape and np.allclose(f, factor, rtol=1e-4) for f in factors.values()):
                before = module.bias.detach().numpy() - module.running_mean.numpy() * factor
                own = [other for _, other, _ in known if other.shape == value.shape]
                if any(np.abs(before + extra * factor - value).max() <= 1e-4 * np.abs(value).max() for extra in [0 * factor, *own]):
                    pairs[slot['name']] = (f'{name}.bias', gradient[slot['name']], by_name[f'{name}.bias'])
                    break
    return pairs


def measure(name, kind, folder):
    path = folder / kind / f'{name}.onnx'
    path.parent.mkdir(parents=True, exist_ok=True)
    image = MODELS[name][1]
    net = make(name)
    if not path.exists():
        try:
            export(net, image, path, kind)
        except Exception as error:
            path.unlink(missing_ok=True)
            return {'failed': f'not exported: {str(error).strip().splitlines()[0][:150]}'}
    best = None
    for draw in range(DRAWS):
        images = torch.randn(BATCH, *image, generator=torch.Generator().manual_seed(3 + draw))
        fact = compare_step(name, path, folder, images)
        if 'failed' in fact:
            return fact
        if best is None or fact['worst'] < best['worst']:
            best = fact
        if best['worst'] <= TOLERANCE:
            break
    return best | {'draws': draw + 1}


def compare_step(name, path, folder, images):
    (folder / 'images.f32').write_bytes(images.numpy().tobytes())
    out = folder / 'step'
    command = ['node', HERE / 'gradients.js', path, folder / 'images.f32', str(BATCH), out]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        lines = [line for line in run.stderr.splitlines() if 'Error' in line] or run.stderr.splitlines()[-1:]
        return {'failed': lines[0][:300]}
    facts = json.loads(out.with_suffix('.json').read_text())
    numbers = np.fromfile(out.with_suffix('.f32'), dtype=np.float32)
    count, batch = facts['count'], facts['batch']
    read = lambda slot, at: numbers[at + slot['offset']:][:int(np.prod(slot['shape'], dtype=int))].reshape(slot['shape'])
    parameters = [(slot, read(slot, 0)) for slot in facts['parameters']]
    gradient = {slot['name']: read(slot, count).astype(np.float64) for slot in facts['parameters']}
    statistics = [(slot, read(slot, 2 * count)) for slot in facts['statistics']]
    labels = torch.arange(batch) % CLASSES
    sizes = {value.size for _, value in parameters}
    net = make(name)
    loss, known = gradients_of(net, images[:batch], labels, statistics, sizes)
    pairs = compare(net, known, parameters, gradient)
    _, rounded = gradients_of(make(name), images[:batch], labels, statistics, sizes, torch.float32)
    rounded = {other: value for other, _, value in rounded}
    own_errors = {}
    usual = np.sqrt(sum((expected ** 2).sum() for _, _, expected in pairs.values()) /
                    max(1, sum(expected.size for _, _, expected in pairs.values())))
    errors = {}
    for own, (other, got, expected) in pairs.items():
        size = max(np.linalg.norm(expected), SMALLEST * usual * np.sqrt(expected.size))
        errors[own] = float(np.linalg.norm(got - expected.reshape(got.shape)) / size)
        truth = {n: value for n, _, value in known}[other.removesuffix(' (folded)')]
        own_errors[own] = float(np.linalg.norm(rounded[other.removesuffix(' (folded)')] - truth) / size)
    worst = sorted(errors, key=errors.get, reverse=True)[:5]
    missing = [slot['name'] for slot, _ in parameters if slot['name'] not in pairs]
    trained = [n for n, p in net.named_parameters() if p.grad is not None]
    used = {other for other, _, _ in pairs.values()}
    return {
        'batch': batch, 'isOwnBatch': facts['isOwnBatch'], 'loss': facts['loss'], 'lossOfPyTorch': loss,
        'parameters': len(parameters), 'compared': len(errors), 'share': round(sum(
            value.size for slot, value in parameters if slot['name'] in pairs) / count, 4),
        'statistics': len(statistics), 'worst': errors[worst[0]] if worst else None,
        'within': sum(error <= TOLERANCE for error in errors.values()),
        'worstOfPyTorch': max(own_errors.values(), default=None),
        'worstTensors': {own: [errors[own], own_errors[own], pairs[own][0]] for own in worst}, 'notFound': missing[:20],
        'ofPyTorchAlone': [n for n in trained if n not in used and f'{n} (folded)' not in used][:20],
        'kept': facts['kept'][:20]}


HEADING = '## Gradients against PyTorch'
TEXT = '''Written by `scripts/models-table/gradients.py`: the gradient of the cross entropy of four images of noise by all parameters, as the training step of lowrank computes it on the CPU in float32, against PyTorch's in float64. Models as below, all their parameters moved a little so that
no two tensors are alike. BatchNormalization is in training mode where the file still has it, in inference mode where the exporter folded it into a convolution. The error of a tensor is ‖difference‖ over the norm of PyTorch's gradient (or over a thousandth of what is usual in the model, where a gradient vanishes);
the largest of all tensors is shown, and the largest of PyTorch's own gradient in float32: what rounding costs, and where a ReLU reads a number so near 0 that rounding decides, the other side of its bend. Above 1e-4 the best of three draws of images is shown:
in DenseNet-121, of millions of ReLU inputs, one of 1e-6 falls on the other side (in the draw that was looked at, all other channels of that layer agree to 1e-8), and in LeViT, BatchNormalization of a few tokens makes much of rounding, PyTorch's too, and the gradient of a bias in front of it vanishes.
Two tensors of own_stn are buffers of PyTorch, the points of its grid: a file does not tell them from parameters, so that they are trained unless `--freeze` names them.'''


def row(name, fact):
    if 'failed' in fact:
        return f"| {name} | – | – | – | {fact['failed']} |"
    errors = f"{fact['worst']:.1e} | {fact['worstOfPyTorch']:.1e}"
    compared = f"{fact['compared']} of {fact['parameters']}"
    return f"| {name} | {compared} | {fact['within']} | {errors} |"


def write(facts):
    document = HERE.parent.parent / 'docs/models-table.md'
    text = document.read_text()
    table = ['| export | tensors compared | within 1e-4 | largest error | of PyTorch in float32 |', '| --- | --- | ---: | ---: | ---: |']
    section = '\n'.join([HEADING, '', TEXT, '', *table, *(row(name, fact) for name, fact in facts.items()), '', ''])
    start = text.find(HEADING)
    if start < 0:
        start = end = text.index('## Exports with fresh weights')
    else:
        end = text.index('## ', start + 2)
    document.write_text(text[:start] + section + text[end:])


def main():
    folder = pathlib.Path(sys.argv[1])
    record = folder / 'gradients.json'
    facts = json.loads(record.read_text()) if record.exists() else {}
    if sys.argv[2:] == ['print']:
        write(facts)
        return
    for name, kind in itertools.product(sys.argv[2:] or NAMES, ('baked', 'open')):
        if f'{kind}/{name}' in facts:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            facts[f'{kind}/{name}'] = fact = measure(name, kind, folder / 'gradients')
        record.write_text(json.dumps(facts, indent=1))
        print(f'{kind}/{name}: {fact}', flush=True)
    write(facts)


main()
