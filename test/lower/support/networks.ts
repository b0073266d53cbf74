import { expect } from 'vitest';
import { copyForward } from '../../../src/autodiff/copy-forward.js';
import type { BuildForward } from '../../../src/autodiff/forward.js';
import type { Model } from '../../../src/graph/model.js';
import { readModel } from '../../../src/graph/read.js';
import { buildModel, type TestInitializer, type TestNode } from '../../support/models.js';
import { difference, parametersOf, runStep, smoothedTargets, uniform } from './step.js';

export type Expected = readonly [model: Model, dims: readonly number[], classes: number, seed?: number];

/**
 * A step by `build` is the one in the model's own layout. Both compute the same sums in another order: of n terms of size s, each off by about ε·s·√n (ε = 6e-8), through some 20
 * layers. 1e-4 of the largest element of a tensor holds n up to 10⁵; where gradients nearly cancel (biases before a
 * normalization are exactly 0 in truth) 2e-6 of the largest gradient of the model is allowed.
 */
export async function expectSameStep(
  build: BuildForward,
  ...[model, dims, classes, seed = 1]: Expected
): Promise<void> {
  const images = uniform(
    seed,
    dims.reduce((product, dim) => product * dim, 1),
  );
  const labels = Array.from({ length: dims[0]! }, (_, i) => (i * 7) % classes);
  // Scales of 1 and biases of 0 hide mistakes: everything is moved.
  const parameters = new Map(
    parametersOf(model).map(({ name, tensor }, i) => {
      const noise = uniform(seed + 1 + i, tensor!.size);
      return [name, Float32Array.from(tensor!.toNumbers(), (value, k) => value + 0.1 * noise[k]!)] as const;
    }),
  );
  const stepCase = {
    model,
    images: { type: 'float32' as const, dims, data: images },
    targets: smoothedTargets(labels, classes, 0.1),
    parameters,
  };
  const expected = await runStep(stepCase, copyForward);
  const result = await runStep(stepCase, build);
  const close = (a: Float32Array, b: Float32Array, what: string, floor = 0): void => {
    const { error, largest } = difference(a, b);
    expect(error, `${what}, largest ${largest}, seed ${seed}`).toBeLessThanOrEqual(1e-4 * largest + floor);
  };
  close(result.logits, expected.logits, 'logits');
  expect(result.statistics.map(({ name }) => name)).toEqual(expected.statistics.map(({ name }) => name));
  result.statistics.forEach(({ name, mean, variance }, i) => {
    close(mean, expected.statistics[i]!.mean, `mean of ${name}`, 1e-6);
    close(variance, expected.statistics[i]!.variance, `variance of ${name}`);
  });
  expect([...result.gradients.keys()]).toEqual([...expected.gradients.keys()]);
  const largest = Math.max(...[...expected.gradients.values()].map((data) => difference(data, data).largest));
  for (const [name, gradient] of expected.gradients) {
    close(result.gradients.get(name)!, gradient, `gradient of ${name}`, 2e-6 * largest);
  }
}

export const weight = (name: string, dims: readonly number[], seed: number): TestInitializer => ({
  name,
  dims,
  data: uniform(
    seed,
    dims.reduce((product, dim) => product * dim, 1),
  ),
});

/** x [N, 4, side, side] → nodes → y, → mean over space → Gemm → logits [N, 5]. */
export function network(
  nodes: readonly TestNode[],
  weights: readonly TestInitializer[],
  side: number,
  channels: number,
): Model {
  return readModel(
    buildModel({
      inputs: [{ name: 'x', dims: ['n', 4, side, side] }],
      outputs: [{ name: 'logits', dims: ['n', 5] }],
      nodes: [
        ...nodes,
        // A weighting that is not the same everywhere, so that misplaced elements show.
        { op: 'Mul', inputs: ['y', 'y'], outputs: ['squares'] },
        { op: 'GlobalAveragePool', inputs: ['squares'], outputs: ['mean'] },
        { op: 'Flatten', inputs: ['mean'], outputs: ['flat'] },
        { op: 'Gemm', inputs: ['flat', 'head.weight', 'head.bias'], outputs: ['logits'], attributes: { transB: 1 } },
      ],
      initializers: [...weights, weight('head.weight', [5, channels], 90), weight('head.bias', [5], 91)],
      opset: 17,
    }),
  );
}

export const convCases = [
  { out: 6, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { out: 6, kernel: [3, 3], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } },
  { out: 2, kernel: [1, 3], attributes: { strides: [1, 2], pads: [0, 1, 0, 1] } },
  { out: 2, kernel: [3, 1], attributes: { strides: [2, 1], pads: [1, 0, 1, 0] } },
  { out: 12, kernel: [1, 1], attributes: { strides: [2, 2] } },
  { out: 3, kernel: [1, 1], attributes: {} },
  { out: 5, kernel: [3, 2], attributes: { dilations: [2, 1], pads: [0, 1, 2, 0] } },
  { out: 4, kernel: [2, 3], attributes: { strides: [3, 2] } },
  { out: 3, kernel: [5, 5], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] } },
  { out: 4, kernel: [3, 3], attributes: { auto_pad: 'SAME_LOWER' } },
  { out: 4, kernel: [3, 3], group: 4, attributes: { pads: [1, 1, 1, 1], strides: [2, 2] } },
  { out: 4, kernel: [5, 3], group: 4, attributes: { pads: [2, 1, 2, 1], dilations: [1, 2] } },
  { out: 4, kernel: [3, 3], group: 4, attributes: { strides: [2, 3] } },
  { out: 6, kernel: [3, 3], group: 2, attributes: { pads: [1, 1, 1, 1] } },
  { out: 8, kernel: [3, 3], group: 4, attributes: {} },
];

/** The convolution x → h of a case, and its weights. */
export function convOf({ out, kernel, group = 1, attributes }: (typeof convCases)[number]): {
  readonly conv: TestNode;
  readonly weights: readonly TestInitializer[];
} {
  return {
    conv: {
      op: 'Conv',
      inputs: ['x', 'w', 'b'],
      outputs: ['h'],
      attributes: { ...attributes, group, kernel_shape: kernel },
    },
    weights: [weight('w', [out, 4 / group, ...kernel], 5), weight('b', [out], 6)],
  };
}

export const norm = (channels: number): TestInitializer[] => [
  weight('bn.weight', [channels], 11),
  weight('bn.bias', [channels], 12),
  { name: 'bn.mean', dims: [channels], data: new Float32Array(channels) },
  { name: 'bn.variance', dims: [channels], data: new Float32Array(channels).fill(1) },
];
export const normNode = (input: string, output: string): TestNode => ({
  op: 'BatchNormalization',
  inputs: [input, 'bn.weight', 'bn.bias', 'bn.mean', 'bn.variance'],
  outputs: [output],
});
