import { string } from '../graph/attributes.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { type GradientContext, rule } from './gradient.js';
import type { Operator, TensorType } from './operator.js';
import { shapeError, unsupported } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

interface Plan {
  /** The labels of every input, one per axis. */
  readonly inputs: readonly (readonly string[])[];
  /** Size of every label; the axes of an ellipsis are the labels "…0", "…1" counted from its end. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly output: readonly string[];
}

/** Reads an equation such as "bhid,bhjd->bhij" against the shapes. Throws SHAPE where they do not fit it. */
function planOf(node: Node, shapes: readonly (readonly number[])[]): Plan {
  const equation = node.string('equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  if (terms.length !== shapes.length) throw shapeError(`equation '${equation}' for ${shapes.length} inputs`);
  const sizes = new Map<string, number>();
  const inputs: string[][] = [];
  let ellipsis = 0;
  terms.forEach((term, i) => {
    const dims = shapes[i]!;
    const named = term.replace('...', '').length;
    const hidden = dims.length - named;
    if (hidden < 0 || (hidden > 0 && !term.includes('...'))) {
      throw shapeError(`term '${term}' of equation '${equation}' for ${showDims(dims)}`);
    }
    ellipsis = Math.max(ellipsis, hidden);
    const labels = labelsOf(term, hidden);
    inputs.push(labels);
    labels.forEach((label, axis) => {
      const size = sizes.get(label) ?? 1;
      const dim = dims[axis]!;
      if (size !== 1 && dim !== 1 && size !== dim) {
        throw shapeError(`'${label}' of equation '${equation}' is both ${size} and ${dim}`);
      }
      sizes.set(label, Math.max(size, dim));
    });
  });
  if (right !== undefined) return { inputs, sizes, output: labelsOf(right, ellipsis) };
  // Implicit form: the ellipsis, then the labels that occur once, in alphabetical order.
  const letters = left.replaceAll(/[.,]/g, '').split('');
  const once = letters.filter((label) => letters.indexOf(label) === letters.lastIndexOf(label)).sort();
  return { inputs, sizes, output: [...labelsOf('...', ellipsis), ...once] };
}

function labelsOf(term: string, hidden: number): string[] {
  const at = term.indexOf('...');
  if (at < 0) return term.split('');
  const dots = Array.from({ length: hidden }, (_, i) => `…${hidden - 1 - i}`);
  return [...term.slice(0, at).split(''), ...dots, ...term.slice(at + 3).split('')];
}

/**
 * dx of one input: the Einstein sum of dy and the other inputs with the labels of x. Labels that only x has were summed
 * over: dx is the same along them. Axes of 1 that were broadcast are summed over.
 */
function gradientOf(context: GradientContext, plan: Plan, index: number): Value {
  const { e, node, inputs, gradients } = context;
  const x = inputs[index]!;
  const wanted = plan.inputs[index]!;
  if (new Set(wanted).size < wanted.length) throw unsupported(node, 'Einsum of a diagonal has no gradient');
  const others = inputs.flatMap((value, i) => (i === index ? [] : [{ value: value!, labels: plan.inputs[i]! }]));
  const operands = [{ value: gradients[0]!, labels: plan.output }, ...others];
  const reached = wanted.filter((label) => operands.some(({ labels }) => labels.includes(label)));
  const letters = lettersFor(plan);
  const term = (labels: readonly string[]): string => labels.map((label) => letters.get(label)!).join('');
  const equation = `${operands.map(({ labels }) => term(labels)).join(',')}->${term(reached)}`;
  const sum = e.emit(
    'Einsum',
    operands.map(({ value }) => value),
    { equation: string(equation) },
  );
  const missing = wanted.flatMap((label, axis) => (reached.includes(label) ? [] : [axis]));
  const spread = e.unsqueeze(sum, missing);
  // Both can happen at once: first what was broadcast is summed, then what was summed is spread.
  const narrow = wanted.flatMap((_, axis) => (e.dims(x)[axis] === 1 && e.dims(spread)[axis] !== 1 ? [axis] : []));
  return e.expandLike(e.reduceSum(spread, narrow), x);
}

/** A letter for every label, those of an ellipsis too. */
function lettersFor({ sizes }: Plan): ReadonlyMap<string, string> {
  const alphabet = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  return new Map([...sizes.keys()].map((label, i) => [label, alphabet[i]!]));
}

/**
 * Einstein summation (ai.onnx 12). Multiply-accumulates of the direct sum: the product of the sizes of all labels, once
 * for every input but the first; a single input needs none.
 */
export const einsum: Operator = {
  opType: 'Einsum',
  domain: '',
  infer: (context) => {
    const values = context.inputs.map((_, index) => input(context, index));
    const shapes = values.map(({ dims }) => dims);
    const { sizes, output } = planOf(context.node, shapes);
    const dims = output.map((label) => {
      const size = sizes.get(label);
      if (size === undefined) throw shapeError(`'${label}' of the result is in no input`);
      return size;
    });
    return [known(values[0]!.dataType, dims)];
  },
  gradient: rule((context) => {
    const { e, node, inputs, needs } = context;
    const plan = planOf(
      node,
      inputs.map((value) => e.dims(value!)),
    );
    return inputs.map((_, index) => (needs[index] === true ? gradientOf(context, plan, index) : undefined));
  }),
  macs: (node, inputs) => {
    const shapes = inputs.filter((value): value is TensorType => value !== undefined).map(({ dims }) => dims);
    if (shapes.length !== inputs.length || shapes.length < 2) return 0;
    const { sizes } = planOf(node, shapes);
    return (shapes.length - 1) * [...sizes.values()].reduce((product, size) => product * size, 1);
  },
};
