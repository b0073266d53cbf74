import { none } from './gradient.js';
import { type Operator, largestConstant } from './operator.js';
import { allConstants, input, known } from './support/known.js';

/** start, start + delta, … before limit (ai.onnx 11). */
export const range: Operator = {
  opType: 'Range',
  domain: '',
  gradient: none('the numbers that it counts with are not trained'),
  infer: (context) => {
    const { dataType } = input(context, 0);
    const constants = allConstants([0, 1, 2].map((index) => input(context, index)));
    if (constants === undefined) return undefined;
    const [start, limit, delta] = constants.map(([value]) => value!);
    const count = Math.max(0, Math.ceil((limit! - start!) / delta!));
    const values = count > largestConstant ? undefined : Array.from({ length: count }, (_, i) => start! + i * delta!);
    return [known(dataType, [count], values)];
  },
};
