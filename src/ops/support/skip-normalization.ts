import type { Value } from '../../graph/value.js';
import { FLOAT } from '../../onnx/data-type.js';
import { type Gradient, type GradientContext, rule } from '../gradient.js';
import type { InferenceContext, Known } from '../operator.js';
import { unsupported } from './fail.js';
import { input, known } from './known.js';
import { normalize, normalizedGradient } from './normalization-gradient.js';

/** y as the input; mean and 1/standard deviation with the last axis 1; the sum before normalization. */
export function inferSkip(context: InferenceContext): Known[] {
  const { dataType, dims } = input(context, 0);
  const stash = known(FLOAT, [...dims.slice(0, -1), 1]);
  return [known(dataType, dims), stash, stash, known(dataType, dims)];
}

/** Inputs x, skip, scale, and, `isCentered`, a shift of the result; then a bias of the sum. The sum is the fourth output. */
function skipGradient({ e, node, inputs, outputs, gradients, needs }: GradientContext, isCentered: boolean) {
  const [x, skip, scale] = inputs;
  const [dy, dmean, drstd, dsum] = gradients;
  if (dmean !== undefined || drstd !== undefined) {
    throw unsupported(node, `the statistics that ${node.opType} gives have no gradient`);
  }
  const shift = isCentered ? 3 : undefined;
  const bias = isCentered ? 4 : 3;
  const summed = (): Value => {
    const sum = e.add(x!, skip!);
    return inputs[bias] === undefined ? sum : e.add(sum, inputs[bias]);
  };
  const axes = [e.rank(x!) - 1];
  const options = { isCentered, mean: undefined, rstd: undefined };
  const normalized = normalize(e, outputs[3] ?? summed(), axes, node.float('epsilon', 1e-12), options);
  const through = dy === undefined ? undefined : normalizedGradient(e, normalized, e.mul(dy, scale!));
  const ds = through === undefined ? dsum! : dsum === undefined ? through : e.add(through, dsum);
  return inputs.map((value, i): Value | undefined => {
    if (needs[i] !== true) return undefined;
    if (i === 2) return dy === undefined ? e.zerosLike(value!) : e.sumTo(e.mul(dy, normalized.xhat), value!);
    if (i === shift) return dy === undefined ? e.zerosLike(value!) : e.sumTo(dy, value!);
    return e.sumTo(ds, value!);
  });
}

export const skipLayerNormGradient: Gradient = rule((context) => skipGradient(context, true));
export const skipRmsNormGradient: Gradient = rule((context) => skipGradient(context, false));
