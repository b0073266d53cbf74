import type { Value } from '../../graph/value.js';
import { type Gradient, type GradientContext, rule } from '../gradient.js';
import { unsupported } from './fail.js';
import { normalizeAxis } from './layout.js';
import { normalize, normalizedGradient } from './normalization-gradient.js';

/** The axes from attribute `axis` on. */
function lastAxes({ e, node, inputs }: GradientContext): number[] {
  const rank = e.rank(inputs[0]!);
  const first = normalizeAxis(node.int('axis', -1), rank);
  return Array.from({ length: rank - first }, (_, i) => first + i);
}

/** Gradients of x, scale and bias of y = x̂·scale + bias; x̂ over the last axes, from the statistics that the node gives. */
function layerGradient(context: GradientContext, isCentered: boolean): (Value | undefined)[] {
  const { e, node, inputs, outputs, gradients, needs } = context;
  const [x, scale, bias] = inputs;
  const [dy, ...others] = gradients;
  if (dy === undefined || others.some((gradient) => gradient !== undefined)) {
    throw unsupported(node, `the statistics that ${node.opType} gives have no gradient`);
  }
  const statistics = isCentered ? { mean: outputs[1], rstd: outputs[2] } : { rstd: outputs[1] };
  const normalized = normalize(e, x!, lastAxes(context), node.float('epsilon', 1e-5), { isCentered, ...statistics });
  return [
    needs[0] === true ? normalizedGradient(e, normalized, e.mul(dy, scale!)) : undefined,
    needs[1] === true ? e.sumTo(e.mul(dy, normalized.xhat), scale!) : undefined,
    needs[2] === true ? e.sumTo(dy, bias!) : undefined,
  ];
}

/** Outputs y, mean, 1/deviation. */
export const layerNormGradient: Gradient = rule((context) => layerGradient(context, true));

/** Outputs y and maybe 1/√(mean x²). */
export const rmsNormGradient: Gradient = rule((context) => layerGradient(context, false));
