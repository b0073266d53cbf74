import { randomFloats } from '../../../src/rewrite/samples.js';
import type { TestAttribute, TestInitializer, TestModel, TestNode } from '../../support/models.js';

export const seed = 20261121;

/** A weight of the chain; the same for the same name. */
function weight(name: string, dims: readonly number[]): TestInitializer {
  const count = dims.reduce((product, dim) => product * dim, 1);
  // Of a size that keeps a chain of layers in range.
  const scale = 1 / Math.sqrt(Math.max(1, count / dims[0]!));
  return { name, dims, data: randomFloats(count, seed, name).map((value) => scale * value) };
}

/** A step of a chain: a node that reads the value before it, and its weights. */
export interface Step {
  readonly node: Omit<TestNode, 'inputs' | 'outputs'>;
  /** The initializers behind the value that the node reads; `left`: before it. */
  readonly weights: readonly TestInitializer[];
  readonly isLeft?: boolean;
}

/** Conv of `inputs` → `outputs` channels; "same" padding for odd kernels where the attributes say nothing else. */
export function conv(
  name: string,
  [inputs, outputs]: readonly [number, number],
  kernel: readonly [number, number],
  attributes: Readonly<Record<string, TestAttribute>> = {},
  bias = false,
): Step {
  const group = typeof attributes['group'] === 'number' ? attributes['group'] : 1;
  const [kh, kw] = kernel;
  const [top, left] = [Math.floor((kh - 1) / 2), Math.floor((kw - 1) / 2)];
  const hasPadding = 'pads' in attributes || 'auto_pad' in attributes;
  return {
    node: {
      op: 'Conv',
      name,
      attributes: { kernel_shape: kernel, ...(hasPadding ? {} : { pads: [top, left, top, left] }), ...attributes },
    },
    weights: [
      weight(`${name}.weight`, [outputs, inputs / group, ...kernel]),
      ...(bias ? [weight(`${name}.bias`, [outputs])] : []),
    ],
  };
}

export function gemm(
  name: string,
  [inputs, outputs]: readonly [number, number],
  attributes: Readonly<Record<string, TestAttribute>> = {},
  bias = false,
): Step {
  const dims = attributes['transB'] === 1 ? [outputs, inputs] : [inputs, outputs];
  return {
    node: { op: 'Gemm', name, attributes },
    weights: [weight(`${name}.weight`, dims), ...(bias ? [weight(`${name}.bias`, [outputs])] : [])],
  };
}

/** x · W, or W · x. */
export function matmul(name: string, [inputs, outputs]: readonly [number, number], isLeft = false): Step {
  const dims = isLeft ? [outputs, inputs] : [inputs, outputs];
  return { node: { op: 'MatMul', name }, weights: [weight(`${name}.weight`, dims)], isLeft };
}

export function batchNormalization(name: string, channels: number): Step {
  const part = (suffix: string): TestInitializer => weight(`${name}.${suffix}`, [channels]);
  const variance = part('variance');
  return {
    node: { op: 'BatchNormalization', name },
    weights: [
      part('scale'),
      part('shift'),
      part('mean'),
      { ...variance, data: (variance.data as Float32Array).map((value) => 0.5 + Math.abs(value)) },
    ],
  };
}

/** A node without a name: two nodes of one name are no valid model. */
export function plain(op: string, attributes: Readonly<Record<string, TestAttribute>> = {}): Step {
  return { node: { op, attributes }, weights: [] };
}

/** A model that runs the steps one behind the other: x → … → y. `outputs` names further values (`h1` is behind step 1). */
export function chain(
  inputDims: readonly (number | string)[],
  steps: readonly Step[],
  options: { readonly opset?: number; readonly outputs?: readonly string[] } = {},
): TestModel {
  const valueAt = (index: number): string => (index === 0 ? 'x' : index === steps.length ? 'y' : `h${index}`);
  return {
    opset: options.opset ?? 17,
    inputs: [{ name: 'x', dims: inputDims }],
    outputs: ['y', ...(options.outputs ?? [])].map((name) => ({ name })),
    initializers: steps.flatMap(({ weights }) => weights),
    nodes: steps.map(({ node, weights, isLeft }, index) => {
      const names = weights.map(({ name }) => name);
      return {
        ...node,
        inputs: isLeft === true ? [...names, valueAt(index)] : [valueAt(index), ...names],
        outputs: [valueAt(index + 1)],
      };
    }),
  };
}
