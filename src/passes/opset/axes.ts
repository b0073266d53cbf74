import { moveInts } from './attributes.js';
import { type Adapt, type OpsetRule, rules } from './rule.js';

/** `axes` becomes an input. Without any, all axes count, before and after. */
const axesToInput: Adapt = (call) => moveInts(call, 'axes', 1);

export const axes: readonly OpsetRule[] = [
  ...rules(
    {
      ReduceSum: [1, 11, 13],
      Squeeze: [1, 11, 13, 21, 23],
      Unsqueeze: [1, 11, 13, 21, 23],
    },
    { 13: axesToInput },
  ),
  ...rules(
    {
      ReduceL1: [1, 11, 13, 18],
      ReduceL2: [1, 11, 13, 18],
      ReduceLogSum: [1, 11, 13, 18],
      ReduceLogSumExp: [1, 11, 13, 18],
      ReduceMax: [1, 11, 12, 13, 18, 20],
      ReduceMean: [1, 11, 13, 18],
      ReduceMin: [1, 11, 12, 13, 18, 20],
      ReduceProd: [1, 11, 13, 18],
      ReduceSumSquare: [1, 11, 13, 18],
    },
    { 18: axesToInput },
  ),
];
