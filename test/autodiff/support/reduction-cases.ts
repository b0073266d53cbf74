import { int, ints } from '../../../src/graph/attributes.js';
import type { Input } from './check-gradient.js';
import type { Case, CaseTable } from './elementwise-cases.js';

/** All forms in which axes are given: input, attribute (up to 17; 12 of ReduceSum), none, and an empty list. */
function forms(x: Input, isInputSince = 18): readonly Case[] {
  const inputs = (...axes: number[]): readonly Input[] => [x, { ints: axes }];
  const empty: Input = { ints: [], dims: [0] };
  const attribute: readonly Case[] =
    isInputSince > 17
      ? [
          { inputs: [x], attributes: { axes: ints([-1, 1]) } },
          { inputs: [x], attributes: { axes: ints([0]), keepdims: int(0) } },
        ]
      : [{ inputs: inputs(2, 0), attributes: { keepdims: int(0) } }];
  return [
    ...attribute,
    { inputs: [x] },
    { inputs: [x], attributes: { keepdims: int(0) } },
    { inputs: inputs(1), opset: 18 },
    { inputs: inputs(-1, 0), opset: 18, attributes: { keepdims: int(0) } },
    { inputs: [x, empty], opset: 18 },
  ];
}

const unreduced = (x: Input): Case => ({
  inputs: [x, { ints: [], dims: [0] }],
  opset: 18,
  attributes: { noop_with_empty_axes: int(1) },
});

const any: Input = { dims: [2, 3, 4] };
const positive: Input = { dims: [2, 3, 4], range: [0.5, 2] };
/** No two are closer than the step of the differences, and none is near 0. */
const distinct: Input = {
  values: Array.from({ length: 24 }, (_, i) => ((i * 7) % 24) / 5 - 2.32),
  dims: [2, 3, 4],
};

export const reductionCases: CaseTable = {
  ReduceL1: forms(distinct),
  ReduceL2: forms(any),
  ReduceLogSum: forms(positive),
  ReduceLogSumExp: forms(any),
  ReduceMax: [...forms(distinct), unreduced(any)],
  ReduceMean: [...forms(any), unreduced(any)],
  ReduceMin: [...forms(distinct), unreduced(any)],
  ReduceProd: [...forms(positive), unreduced(positive)],
  ReduceSum: [...forms(any, 13), unreduced(any)],
  ReduceSumSquare: forms(any),
};
