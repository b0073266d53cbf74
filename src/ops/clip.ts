import type { Operator } from './operator.js';
import { givenInput, input, known } from './support/known.js';

/** y = min(max(x, min), max) (ai.onnx 6; min and max are inputs since 11). */
export const clip: Operator = {
  opType: 'Clip',
  domain: '',
  infer: (context) => {
    const { node } = context;
    const x = input(context, 0);
    const bound = (name: string, index: number, fallback: number): number | undefined => {
      const given = givenInput(context, index);
      if (given === 'unknown') return undefined;
      return given === 'absent' ? node.float(name, fallback) : given[0];
    };
    const min = bound('min', 1, -Infinity);
    const max = bound('max', 2, Infinity);
    if (min === undefined || max === undefined) return [known(x.dataType, x.dims)];
    const constant = x.constant?.map((value) => Math.min(Math.max(value, min), max));
    return [known(x.dataType, x.dims, constant)];
  },
};
