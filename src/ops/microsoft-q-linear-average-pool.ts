import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { channelsLast, poolDims } from './support/pool.js';

/** AveragePool of a quantized tensor, channels last if asked (com.microsoft). */
export const microsoftQLinearAveragePool: Operator = {
  opType: 'QLinearAveragePool',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: (context) => {
    const { dataType, dims } = input(context, 0);
    const rule = (channelsFirst: readonly number[]): number[] => poolDims(context.node, channelsFirst);
    return [known(dataType, context.node.int('channels_last', 0) === 0 ? rule(dims) : channelsLast(dims, rule))];
  },
};
