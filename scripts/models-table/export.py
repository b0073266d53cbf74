"""Exports models of torchvision, timm and a few small nets with fresh weights, for docs/models-table.md.

    python3 -m venv exports-env && exports-env/bin/pip install torch torchvision timm onnx onnxruntime onnxscript
    exports-env/bin/python scripts/models-table/export.py FOLDER [NAME ...]

Each model is written in two ways where both work:

    FOLDER/open/NAME.onnx    torch.onnx.export(dynamo=False), its batch open
    FOLDER/baked/NAME.onnx   torch's default exporter, a batch of 1 baked in

Weights are drawn with seed 0 and have ten classes; images are as small as a model takes them, so that all can be tried
in minutes. FOLDER/exports.json says per file: image size, seconds, bytes, and of exports that failed why. Files that
are there already are left.
"""

import contextlib
import io
import json
import pathlib
import sys
import time
import warnings

import timm
import torch
import torchvision
from torch import nn

CLASSES = 10


def double_conv(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.down1, self.down2 = double_conv(3, width), double_conv(width, 2 * width)
        self.bottom = double_conv(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.join2 = double_conv(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join1 = double_conv(2 * width, width)
        self.head = nn.Conv2d(width, CLASSES, 1)

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(nn.functional.max_pool2d(first, 2))
        x = self.up2(self.bottom(nn.functional.max_pool2d(second, 2)))
        x = self.up1(self.join2(torch.cat([second, x], 1)))
        return self.head(self.join1(torch.cat([first, x], 1)))


class Conv1d(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [2, 32, 64, 128]
        self.body = nn.Sequential(*[
            nn.Sequential(nn.Conv1d(a, b, 7, stride=2, padding=3), nn.BatchNorm1d(b), nn.ReLU())
            for a, b in zip(widths, widths[1:])])
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x):
        return self.head(self.body(x).mean(-1))


class WeightNorm(nn.Module):
    def __init__(self):
        super().__init__()
        from torch.nn.utils.parametrizations import spectral_norm, weight_norm
        self.conv1 = weight_norm(nn.Conv2d(3, 32, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(32, 64, 3, padding=1, stride=2))
        self.conv3 = weight_norm(nn.Conv2d(64, 64, 3, padding=1, stride=2))
        self.head = weight_norm(nn.Linear(64, CLASSES))

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = torch.relu(conv(x))
        return self.head(x.mean((2, 3)))


class SpatialTransformer(nn.Module):
    """Looks at its images where a small network says (Jaderberg et al. 2015)."""

    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=4), nn.ReLU())
        self.where = nn.Linear(8 * 4 * 4, 6)
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU())
        self.head = nn.Linear(32, CLASSES)
        axis = torch.linspace(-1, 1, 48)
        self.register_buffer('points', torch.stack([axis.repeat(48), axis.repeat_interleave(48), torch.ones(48 * 48)]))
        self.register_buffer('straight', torch.eye(2, 3))

    def forward(self, x):
        theta = self.where(self.look(x).flatten(1)).view(-1, 2, 3) + self.straight
        grid = (theta @ self.points).transpose(1, 2).reshape(-1, 48, 48, 2)
        return self.head(self.body(nn.functional.grid_sample(x, grid, align_corners=False)).mean((2, 3)))


class Logits(nn.Module):
    """The `out` of a segmentation network."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)['out']


def tv(name, **options):
    return lambda: torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **options)


def tm(name, **options):
    return lambda: timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)


def segmentation(name):
    make = getattr(torchvision.models.segmentation, name)
    return lambda: Logits(make(weights=None, weights_backbone=None, num_classes=CLASSES))


def resnet_of_channels(channels):
    net = torchvision.models.resnet18(num_classes=CLASSES)
    net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return net


IMAGE = (3, 64, 64)

# Name: how it is made, the shape of one image.
MODELS = {
    'tv_resnet18': (tv('resnet18'), IMAGE),
    'tv_resnet50': (tv('resnet50'), IMAGE),
    'tv_resnext50': (tv('resnext50_32x4d'), IMAGE),
    'tv_wide_resnet50': (tv('wide_resnet50_2'), IMAGE),
    'tv_vgg11': (tv('vgg11'), (3, 224, 224)),
    'tv_vgg11_bn': (tv('vgg11_bn'), (3, 224, 224)),
    'tv_alexnet': (tv('alexnet'), (3, 224, 224)),
    'tv_squeezenet': (tv('squeezenet1_1'), IMAGE),
    'tv_densenet121': (tv('densenet121'), IMAGE),
    'tv_googlenet': (tv('googlenet', aux_logits=False, init_weights=False), IMAGE),
    'tv_inception_v3': (tv('inception_v3', aux_logits=False, init_weights=False), (3, 128, 128)),
    'tv_mobilenet_v2': (tv('mobilenet_v2'), IMAGE),
    'tv_mobilenet_v3_small': (tv('mobilenet_v3_small'), IMAGE),
    'tv_mnasnet': (tv('mnasnet1_0'), IMAGE),
    'tv_shufflenet': (tv('shufflenet_v2_x1_0'), IMAGE),
    'tv_regnet_y': (tv('regnet_y_400mf'), IMAGE),
    'tv_efficientnet_b0': (tv('efficientnet_b0'), IMAGE),
    'tv_efficientnet_v2_s': (tv('efficientnet_v2_s'), IMAGE),
    'tv_convnext_tiny': (tv('convnext_tiny'), IMAGE),
    'tv_vit_b_32': (tv('vit_b_32', image_size=64), IMAGE),
    'tv_swin_t': (tv('swin_t'), IMAGE),
    'tv_swin_v2_t': (tv('swin_v2_t'), IMAGE),
    'tv_maxvit_t': (tv('maxvit_t', input_size=(224, 224)), (3, 224, 224)),
    'tv_fcn_resnet50': (segmentation('fcn_resnet50'), IMAGE),
    'tv_deeplab_mobilenet': (segmentation('deeplabv3_mobilenet_v3_large'), IMAGE),
    'tv_lraspp_mobilenet': (segmentation('lraspp_mobilenet_v3_large'), IMAGE),
    'tv_r3d_18': (tv('r3d_18'), (3, 8, 56, 56)),
    'timm_deit_tiny': (tm('deit_tiny_patch16_224', img_size=64), IMAGE),
    'timm_vit_tiny': (tm('vit_tiny_patch16_224', img_size=64), IMAGE),
    'timm_swin_tiny': (tm('swin_tiny_patch4_window7_224', img_size=112), (3, 112, 112)),
    'timm_levit_128s': (tm('levit_128s'), (3, 224, 224)),
    'timm_efficientformer_l1': (tm('efficientformer_l1'), (3, 224, 224)),
    'timm_ecaresnet26t': (tm('ecaresnet26t'), IMAGE),
    'timm_seresnet18': (tm('legacy_seresnet18'), IMAGE),
    'timm_resnet26d': (tm('resnet26d'), IMAGE),
    'timm_resnetv2_50': (tm('resnetv2_50'), IMAGE),
    'timm_bit_resnet': (tm('resnetv2_50x1_bit'), IMAGE),
    'timm_nfnet_l0': (tm('nfnet_l0'), IMAGE),
    'timm_nf_resnet26': (tm('nf_resnet26'), IMAGE),
    'timm_mixer_s32': (tm('mixer_s32_224', img_size=64), IMAGE),
    'timm_convnextv2_atto': (tm('convnextv2_atto'), IMAGE),
    'timm_ghostnet': (tm('ghostnet_100'), IMAGE),
    'timm_hrnet_w18_small': (tm('hrnet_w18_small'), IMAGE),
    'timm_mobilevit_xxs': (tm('mobilevit_xxs'), IMAGE),
    'timm_poolformer_s12': (tm('poolformer_s12'), IMAGE),
    'timm_pvt_v2_b0': (tm('pvt_v2_b0'), IMAGE),
    'timm_repvgg_a0': (tm('repvgg_a0'), IMAGE),
    'timm_efficientvit_b0': (tm('efficientvit_b0'), IMAGE),
    'timm_mobileone_s0': (tm('mobileone_s0'), IMAGE),
    'timm_coatnet_nano': (tm('coatnet_nano_rw_224', img_size=64), IMAGE),
    'own_unet': (UNet, IMAGE),
    'own_conv1d': (Conv1d, (2, 256)),
    'own_resnet18_6ch': (lambda: resnet_of_channels(6), (6, 64, 64)),
    'own_stn': (SpatialTransformer, IMAGE),
    'own_weight_norm': (WeightNorm, (3, 32, 32)),
}


def settle(net):
    """As training leaves it: running statistics, and no head, residual branch or layer scale at zero, which would hide all behind it."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    for name, parameter in net.named_parameters():
        is_scale = name.rsplit('.', 1)[-1] in ('weight', 'gamma', 'layer_scale', 'skipinit_gain', 'scale')
        if is_scale and parameter.dim() < 2 and parameter.abs().max() < 1e-2:
            nn.init.constant_(parameter, 0.5)
        elif is_scale and parameter.dim() > 1 and parameter.abs().max() < 1e-4:
            nn.init.normal_(parameter, 0, 0.02) if name.endswith('.weight') else nn.init.constant_(parameter, 0.5)
    return net.eval()


def export(net, image, path, kind):
    sample = torch.randn(1, *image, generator=torch.Generator().manual_seed(1))
    names = {'input_names': ['input'], 'output_names': ['output']}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        if kind == 'open':
            axes = {'input': {0: 'batch'}, 'output': {0: 'batch'}}
            torch.onnx.export(net, (sample,), str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **names)
        else:
            torch.onnx.export(net, (sample,), str(path), external_data=False, **names)


def main():
    folder = pathlib.Path(sys.argv[1])
    wanted = sys.argv[2:] or list(MODELS)
    record = folder / 'exports.json'
    facts = json.loads(record.read_text()) if record.exists() else {}
    for name in wanted:
        make, image = MODELS[name]
        for kind in ('open', 'baked'):
            path = folder / kind / f'{name}.onnx'
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                continue
            began = time.time()
            torch.manual_seed(0)
            fact = {'image': list(image)}
            try:
                export(settle(make()), image, path, kind)
                fact.update(seconds=round(time.time() - began, 1), bytes=path.stat().st_size)
            except Exception as error:
                path.unlink(missing_ok=True)
                fact['failed'] = str(error).strip().splitlines()[0][:200]
            facts[f'{kind}/{name}'] = fact
            record.write_text(json.dumps(facts, indent=1))
            print(f'{kind}/{name}: {fact}', flush=True)


if __name__ == '__main__':
    main()
