import type { Node } from '../graph/node.js';
import type { Operator, TensorType } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

interface Plan {
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
  let ellipsis = 0;
  terms.forEach((term, i) => {
    const dims = shapes[i]!;
    const named = term.replace('...', '').length;
    const hidden = dims.length - named;
    if (hidden < 0 || (hidden > 0 && !term.includes('...'))) {
      throw shapeError(`term '${term}' of equation '${equation}' for ${showDims(dims)}`);
    }
    ellipsis = Math.max(ellipsis, hidden);
    labelsOf(term, hidden).forEach((label, axis) => {
      const size = sizes.get(label) ?? 1;
      const dim = dims[axis]!;
      if (size !== 1 && dim !== 1 && size !== dim) {
        throw shapeError(`'${label}' of equation '${equation}' is both ${size} and ${dim}`);
      }
      sizes.set(label, Math.max(size, dim));
    });
  });
  if (right !== undefined) return { sizes, output: labelsOf(right, ellipsis) };
  // Implicit form: the ellipsis, then the labels that occur once, in alphabetical order.
  const letters = left.replaceAll(/[.,]/g, '').split('');
  const once = letters.filter((label) => letters.indexOf(label) === letters.lastIndexOf(label)).sort();
  return { sizes, output: [...labelsOf('...', ellipsis), ...once] };
}

function labelsOf(term: string, hidden: number): string[] {
  const at = term.indexOf('...');
  if (at < 0) return term.split('');
  const dots = Array.from({ length: hidden }, (_, i) => `…${hidden - 1 - i}`);
  return [...term.slice(0, at).split(''), ...dots, ...term.slice(at + 3).split('')];
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
  macs: (node, inputs) => {
    const shapes = inputs.filter((value): value is TensorType => value !== undefined).map(({ dims }) => dims);
    if (shapes.length !== inputs.length || shapes.length < 2) return 0;
    const { sizes } = planOf(node, shapes);
    return (shapes.length - 1) * [...sizes.values()].reduce((product, size) => product * size, 1);
  },
};
