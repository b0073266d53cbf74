import { NORMALIZATIONS, type Normalization } from '../data/normalize.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { resolveWeight } from '../ops/resolve-weight.js';

/** The first operators of a model as factor · x + shift, of each channel or of all. */
interface Scaling {
  readonly factor: readonly number[];
  readonly shift: readonly number[];
}

/** Operators that change neither values nor, but for their order, channels. */
const passing: ReadonlySet<string> = new Set(['Cast', 'Identity', 'Transpose', 'Dropout']);

/**
 * The range that a model's input has where its first operators, Sub, Div, Mul and Add of constants, normalize it: from 0 to
 * 255 where they undo values of that size, else from 0 to 1. undefined where the model does not begin so.
 */
export function rangeOfInput(graph: Graph, input: Value): Normalization | undefined {
  const scaling = scalingOf(graph, input);
  if (scaling === undefined) return undefined;
  const isOfBytes = scaling.factor.some((factor, channel) => {
    const zero = -scaling.shift[channel]! / factor;
    // What becomes 0 is the mean of the images; where nothing is subtracted the factor alone tells.
    return Math.abs(zero) > 1.5 || Math.abs(factor) < 0.1;
  });
  return isOfBytes ? NORMALIZATIONS.none : NORMALIZATIONS.unit;
}

function scalingOf(graph: Graph, input: Value): Scaling | undefined {
  let scaling: Scaling | undefined;
  for (let value = input; ;) {
    const [node, ...others] = value.uses.map((use) => use.node).filter((each) => !each.is('Shape'));
    if (node === undefined || others.length > 0 || node.domain !== '') return scaling;
    const output = node.outputs[0]!;
    if (!passing.has(node.opType)) {
      const step = stepOf(graph, node, value);
      const after = step === undefined ? undefined : chained(scaling, step);
      if (after === undefined) return scaling;
      scaling = after;
    }
    value = output;
  }
}

/** undefined where the node is none of the four, or its other side is no constant of each channel or of all. */
function stepOf(graph: Graph, node: Node, value: Value): Scaling | undefined {
  const [first, second] = node.inputs;
  const other = first === value ? second : first;
  if (!['Sub', 'Div', 'Mul', 'Add'].includes(node.opType) || other === undefined || first === second) return undefined;
  const weight = resolveWeight(graph, other);
  if (weight === undefined || weight.dims.filter((dim) => dim !== 1).length > 1) return undefined;
  const size = weight.dims.reduce((product, dim) => product * dim, 1);
  if (size > 16) return undefined;
  const constant = Array.from(weight.dataInFloat64());
  const all = (number: number): number[] => constant.map(() => number);
  switch (node.opType) {
    case 'Add':
      return { factor: all(1), shift: constant };
    case 'Mul':
      return { factor: constant, shift: all(0) };
    case 'Sub':
      return first === value
        ? { factor: all(1), shift: constant.map((number) => -number) }
        : { factor: all(-1), shift: constant };
    default:
      return first === value ? { factor: constant.map((number) => 1 / number), shift: all(0) } : undefined;
  }
}

function chained(before: Scaling | undefined, { factor, shift }: Scaling): Scaling | undefined {
  if (before === undefined) return { factor, shift };
  const channels = Math.max(before.factor.length, factor.length);
  if ([before.factor.length, factor.length].some((length) => length !== 1 && length !== channels)) return undefined;
  const at = (values: readonly number[], channel: number): number => values[values.length === 1 ? 0 : channel]!;
  const every = Array.from({ length: channels }, (_, channel) => channel);
  return {
    factor: every.map((c) => at(before.factor, c) * at(factor, c)),
    shift: every.map((c) => at(before.shift, c) * at(factor, c) + at(shift, c)),
  };
}
