import { int, ints, string } from '../../../src/graph/attributes.js';
import type { Input } from './check-gradient.js';
import type { Case, CaseTable } from './elementwise-cases.js';

const x = (...dims: number[]): Input => ({ dims });
const list = (...values: number[]): Input => ({ ints: values });
const scalar = (value: number): Input => ({ ints: [value], dims: [] });
const fed = (values: readonly number[], dims: readonly number[]): Input => ({ ints: values, dims, isFed: true });
const images = x(2, 4, 6, 4);

/** Slices of [5, 6, 7] by starts, ends, axes and steps. */
const sliced = (...lists: readonly (readonly number[])[]): Case => ({
  inputs: [x(5, 6, 7), ...lists.map((values) => list(...values))],
});

/** Elements along an axis: where ties and repeated indices matter, the indices say so. */
const gathered = (indices: Input, axis: number, ...dims: number[]): Case => ({
  inputs: [x(...dims), indices],
  attributes: { axis: int(axis) },
});

const scattered = [
  { inputs: [x(3, 4), fed([0, 2, -1, 1], [2, 2]), x(2, 2)], attributes: { axis: int(1) } },
  { inputs: [x(3, 4), fed([0, 2], [1, 2]), x(1, 2)] },
];

export const movementCases: CaseTable = {
  Concat: [
    { inputs: [x(2, 3), x(2, 1), x(2, 4)], attributes: { axis: int(1) } },
    { inputs: [x(2, 3), x(4, 3)], attributes: { axis: int(0) } },
    { inputs: [x(2, 3), { dims: [2, 4], fixed: true }, { dims: [2, 1], fixed: true }], attributes: { axis: int(-1) } },
    { inputs: [{ dims: [2, 3], fixed: true }, x(2, 4), x(2, 1)], attributes: { axis: int(-1) } },
    { inputs: [x(2, 3), { dims: [4, 3], fixed: true }], attributes: { axis: int(-2) } },
    { inputs: [x(2, 3)], attributes: { axis: int(0) } },
  ],
  CumSum: [0, 1].flatMap((reverse) =>
    [0, 1].map((exclusive) => ({
      inputs: [x(3, 4), scalar(1)],
      attributes: { reverse: int(reverse), exclusive: int(exclusive) },
    })),
  ),
  DepthToSpace: [
    { inputs: [x(2, 8, 2, 3)], attributes: { blocksize: int(2) } },
    { inputs: [x(2, 8, 2, 3)], attributes: { blocksize: int(2), mode: string('CRD') } },
  ],
  Expand: [{ inputs: [x(3, 1), list(2, 1, 4)] }, { inputs: [x(), list(2, 3)] }, { inputs: [x(2, 3), list(1)] }],
  Flatten: [
    { inputs: [images] },
    ...[0, 2, 4, -1].map((axis) => ({ inputs: [images], attributes: { axis: int(axis) } })),
  ],
  Gather: [
    gathered(scalar(1), 1, 2, 5, 3),
    gathered(scalar(-1), 0, 4, 3),
    gathered(scalar(0), -1, 4, 3),
    gathered(list(1, 2, 3), 1, 2, 5, 3),
    gathered(list(4, 0, -2), 1, 2, 5, 3),
    gathered(list(2, 0, 1), 2, 2, 5, 3),
    gathered({ ints: [0, 3, 1, 2], dims: [2, 2] }, 1, 2, 4, 3),
    gathered({ ints: [0, 3, 0, -1, 3, 3], dims: [2, 3] }, 1, 2, 4, 3),
    gathered({ ints: [0, 3, 0, -1, 3, 3], dims: [2, 3] }, 0, 4, 3),
    gathered(fed([0, 3, 0, -1, 3, 3], [2, 3]), 0, 4, 3),
    gathered(fed([1], []), 1, 2, 4),
  ],
  GatherElements: [
    gathered(fed([0, 0, -1, 2, 2, 2], [3, 2]), 1, 3, 4),
    gathered({ ints: [1, 0, 1], dims: [1, 3] }, 0, 2, 3),
  ],
  GatherND: [
    { inputs: [x(3, 4, 2), fed([0, 1, 2, -1, 0, 1], [3, 2])] },
    { inputs: [x(3, 4, 2), fed([-1, 0, 2], [3, 1])] },
    { inputs: [x(3, 4), fed([0, 1, 2, 3], [2, 2])] },
    { inputs: [x(2, 3, 4), fed([1, -1, 0, 0], [2, 2, 1])], attributes: { batch_dims: int(1) } },
    { inputs: [x(2, 3, 4), fed([1, -1], [2, 1])], attributes: { batch_dims: int(1) } },
    { inputs: [x(2, 2, 3), fed([1, 1, 0, -1], [2, 2, 1])], attributes: { batch_dims: int(2) } },
  ],
  Reshape: [
    { inputs: [x(2, 3, 4), list(2, 12)] },
    { inputs: [x(2, 3, 4), list(0, -1, 2)] },
    { inputs: [x(1, 1), { ints: [], dims: [0] }] },
  ],
  ReverseSequence: [
    { inputs: [x(4, 3, 2), list(1, 4, 3)] },
    { inputs: [x(3, 4, 2), list(1, 4, 3)], attributes: { batch_axis: int(0), time_axis: int(1) } },
  ],
  ScatterElements: [...scattered, { ...scattered[0]!, attributes: { axis: int(1), reduction: string('add') } }],
  ScatterND: [
    { inputs: [x(3, 4), fed([0, 2], [2, 1]), x(2, 4)] },
    { inputs: [x(3, 4), fed([0, 2, 1, 1], [2, 2]), x(2)] },
    { inputs: [x(3, 4), fed([0, 2, 1, 1], [2, 2]), x(2)], attributes: { reduction: string('add') } },
  ],
  Slice: [
    sliced([1], [4], [1]),
    sliced([0, -3], [2 ** 31 - 1, -1], [0, 2]),
    sliced([1, 2], [3, 5], [1, 2]),
    sliced([0, 1, 2], [5, 5, 6]),
    sliced([0, 0], [100, 100], [1, 2], [2, 3]),
    sliced([1], [6], [2], [2]),
    sliced([-1], [-100], [1], [-1]),
    sliced([5, 6], [0, -100], [1, 2], [-2, -3]),
    sliced([1], [4], [0]),
    sliced([4], [-100], [0], [-2]),
    sliced([1, 1], [4, 3], [0, 1]),
    sliced([-2], [2 ** 31 - 1], [0]),
  ],
  SpaceToDepth: [{ inputs: [images], attributes: { blocksize: int(2) } }],
  Split: [
    { inputs: [x(2, 6), list(1, 2, 3)], attributes: { axis: int(1) }, outputs: 3, read: [0, 1, 2] },
    { inputs: [x(2, 6)], attributes: { axis: int(-1) }, outputs: 2, read: [1] },
    { inputs: [x(5, 2)], attributes: { num_outputs: int(2) }, outputs: 2, read: [0, 1], opset: 18 },
    { inputs: [x(5, 2), list(2, 3)], outputs: 2, read: [0] },
  ],
  Squeeze: [
    { inputs: [x(2, 1, 3, 1), list(1)] },
    { inputs: [x(2, 1, 3, 1), list(-1, -3)] },
    { inputs: [x(2, 1, 3, 1)] },
  ],
  Tile: [
    { inputs: [x(2, 3), list(1, 2)] },
    { inputs: [x(2, 3), list(3, 2)] },
    { inputs: [x(2, 3, 4), list(2, 1, 3)] },
    { inputs: [x(2, 3), list(1, 1)] },
  ],
  TopK: [
    {
      inputs: [{ values: [3, 1, 2, 0.5, 7, -1, 4, 5], dims: [2, 4] }, list(2)],
      outputs: 2,
    },
    {
      inputs: [{ values: [3, 1, 2, 0.5, 7, -1, 4, 5], dims: [4, 2] }, list(3)],
      attributes: { axis: int(0), largest: int(0) },
      outputs: 2,
    },
  ],
  Transpose: [
    { inputs: [x(2, 3, 4)] },
    { inputs: [x(2, 3, 4)], attributes: { perm: ints([1, 2, 0]) } },
    { inputs: [images], attributes: { perm: ints([0, 2, 3, 1]) } },
  ],
  Trilu: [
    { inputs: [x(2, 3, 4)] },
    { inputs: [x(3, 3), scalar(-1)], attributes: { upper: int(0) } },
    { inputs: [x(3, 3), scalar(1)] },
  ],
  Unsqueeze: [{ inputs: [x(2, 3), list(1)] }, { inputs: [x(2, 3), list(-1, 0)] }],
};
