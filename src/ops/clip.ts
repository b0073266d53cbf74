import type { Value } from '../graph/value.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { givenInput, input, known } from './support/known.js';

/**
 * Between the bounds 1, at and beyond them 0, as PyTorch has it for relu6, hardtanh and (since 2.15) clamp. A bound gets
 * the gradients of the elements that it cuts, itself included.
 */
const clipGradient = rule(({ e, inputs: [x, min, max], gradients: [dy], needs }) => {
  const isAbove = min === undefined ? undefined : e.emit('Greater', [x!, min]);
  const isBelow = max === undefined ? undefined : e.emit('Less', [x!, max]);
  const isInside =
    isAbove === undefined || isBelow === undefined ? (isAbove ?? isBelow) : e.emit('And', [isAbove, isBelow]);
  const through = isInside === undefined ? dy! : e.mul(dy!, e.indicator(isInside, x!));
  const cut = (isKept: Value | undefined, value: Value): Value =>
    e.sumTo(e.mul(dy!, e.indicator(e.emit('Not', [isKept!]), x!)), value);
  return [
    needs[0] === true ? through : undefined,
    needs[1] === true ? cut(isAbove, min!) : undefined,
    needs[2] === true ? cut(isBelow, max!) : undefined,
  ];
});

/** y = min(max(x, min), max) (ai.onnx 6; min and max are inputs since 11). */
export const clip: Operator = {
  opType: 'Clip',
  domain: '',
  settings: [1, 2],
  gradient: clipGradient,
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
