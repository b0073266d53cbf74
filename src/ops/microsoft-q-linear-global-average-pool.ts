import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { channelsLast } from './support/pool.js';

/** GlobalAveragePool of a quantized tensor, channels last if asked (com.microsoft). */
export const microsoftQLinearGlobalAveragePool: Operator = {
  opType: 'QLinearGlobalAveragePool',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: (context) => {
    const { dataType, dims } = input(context, 0);
    const rule = (channelsFirst: readonly number[]): number[] => channelsFirst.map((dim, i) => (i < 2 ? dim : 1));
    return [known(dataType, context.node.int('channels_last', 0) === 0 ? rule(dims) : channelsLast(dims, rule))];
  },
};
