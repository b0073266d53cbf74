"""Gradients of torch.nn.functional.grid_sample in float64, for grid-sample.test.ts:

    python3 test/autodiff/golden/grid-sample.py > test/autodiff/golden/grid-sample.json

The loss is the sum of the result. Points of the grid lie between elements, on elements, on the ends, outside of both, and
far outside; none lies half way between two, where nearest would depend on the order of roundings. Sizes are such that
places on elements are exact in float32.
"""

import itertools
import json

import torch
import torch.nn.functional as F


def numbers(tensor):
    return [round(value, 6) for value in tensor.flatten().tolist()]


def places(*sizes):
    """Points as places, in elements, of the last axis first."""
    along = [[-2.3, -0.2, 0, 0.7, 1, size - 1, size - 0.8, size + 1.7] for size in sizes]
    return [[axis[(5 * k + 3 * i) % 8] for i, axis in enumerate(along)] for k in range(8)]


def case(axes, mode, padding, aligned):
    generator = torch.Generator().manual_seed(0)
    sizes = ([3, 5] if aligned else [2, 4]) if axes == 2 else ([3, 2, 3] if aligned else [2, 1, 4])
    x = torch.randn(1, 2, *sizes, generator=generator, dtype=torch.float64).round(decimals=2)
    where = torch.tensor(places(*reversed(sizes)), dtype=torch.float64)
    length = torch.tensor(list(reversed(sizes)), dtype=torch.float64)
    grid = 2 * where / (length - 1) - 1 if aligned else (2 * where + 1) / length - 1
    grid = grid.reshape(1, *([2] * len(sizes)), len(sizes)) if len(sizes) == 3 else grid.reshape(1, 2, 4, 2)
    x, grid = x.requires_grad_(), grid.round(decimals=6).requires_grad_()
    y = F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=aligned)
    y.sum().backward()
    return {
        'mode': mode, 'padding': padding, 'aligned': aligned, 'sizes': sizes, 'x': numbers(x), 'grid': numbers(grid),
        'gridDims': list(grid.shape), 'dx': numbers(x.grad), 'dgrid': numbers(grid.grad)}


kinds = [(2, 'nearest'), (2, 'bilinear'), (2, 'bicubic'), (3, 'nearest'), (3, 'bilinear')]
cases = [case(axes, mode, padding, aligned)
         for (axes, mode), padding, aligned in itertools.product(kinds, ('zeros', 'border', 'reflection'), (False, True))]
print('[' + ',\n'.join(json.dumps(each) for each in cases) + ']')
