"""The contender that PyTorch's benches share: a torchvision model, low-rank where a scale is given, ready to be trained."""

import torch
import torchvision
from torch import nn


class Pair(nn.Module):
    """A convolution as 1 x kw (in to rank), then kh x 1 (rank to out)."""

    def __init__(self, conv, scale):
        super().__init__()
        out, inner, kh, kw = conv.weight.shape
        rank = max(1, round(scale * min(out * kh, inner * kw)))
        (sh, sw), (ph, pw) = conv.stride, conv.padding
        self.first = nn.Conv2d(inner, rank, (1, kw), (1, sw), (0, pw), bias=False)
        self.second = nn.Conv2d(rank, out, (kh, 1), (sh, 1), (ph, 0), bias=conv.bias is not None)

    def forward(self, x):
        return self.second(self.first(x))


def factorize(module, scale):
    for key, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d) and child.groups == 1 and child.in_channels > 3:
            setattr(module, key, Pair(child, scale))
        else:
            factorize(child, scale)


def build(architecture, scale, seed=0):
    """In training mode, without dropout and drop path; full rank where scale is 0."""
    torch.manual_seed(seed)
    model = getattr(torchvision.models, architecture)(num_classes=1000)
    if scale > 0:
        factorize(model, scale)
    for module in model.modules():
        if "StochasticDepth" in type(module).__name__ or isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.train()


def training(model):
    """The optimizer and the loss, as lowrank trains with them."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    return optimizer, nn.CrossEntropyLoss(label_smoothing=0.1)
