import { describe, it } from 'vitest';
import { spellOutAttention } from '../../src/passes/spell-out-attention.js';
import { spellOutFused } from '../../src/passes/spell-out-fused.js';
import type { TestModel, TestNode } from '../support/models.js';
import { bytesOf, classifier, floats, head, requireSame } from './support/spelled-out.js';

const fused: Record<string, { nodes: TestNode[]; initializers: TestModel['initializers'] }> = {
  'FusedConv: LeakyRelu': {
    nodes: [
      {
        ...{ op: 'FusedConv', domain: 'com.microsoft', inputs: ['x', 'w', 'b'], outputs: ['c'] },
        attributes: {
          ...{ pads: [1, 1, 1, 1], strides: [2, 2], activation: 'LeakyRelu' },
          activation_params: Float32Array.of(0.2),
        },
      },
    ],
    initializers: [floats('w', [4, 3, 3, 3]), floats('b', [4])],
  },
  'FusedConv: a sum, then Relu': {
    nodes: [
      { op: 'Conv', inputs: ['x', 'v'], outputs: ['s'] },
      {
        ...{ op: 'FusedConv', domain: 'com.microsoft', inputs: ['x', 'w', 'b', 's'], outputs: ['c'] },
        attributes: { activation: 'Relu' },
      },
    ],
    initializers: [floats('w', [4, 3, 1, 1]), floats('b', [4]), floats('v', [4, 3, 1, 1])],
  },
  'FusedConv: Clip': {
    nodes: [
      {
        ...{ op: 'FusedConv', domain: 'com.microsoft', inputs: ['x', 'w', 'b'], outputs: ['c'] },
        attributes: { activation: 'Clip', activation_params: Float32Array.of(0, 1) },
      },
    ],
    initializers: [floats('w', [4, 3, 1, 1]), floats('b', [4])],
  },
};

const last: Record<string, { node: TestNode; weight: readonly number[] }> = {
  'FusedGemm: Tanh': {
    node: {
      ...{ op: 'FusedGemm', domain: 'com.microsoft', inputs: ['f', 'h'], outputs: ['y'] },
      attributes: { activation: 'Tanh', transB: 1 },
    },
    weight: [4, 4],
  },
  'FusedMatMul: transposed, scaled': {
    node: {
      ...{ op: 'FusedMatMul', domain: 'com.microsoft', inputs: ['f', 'h'], outputs: ['y'] },
      attributes: { transB: 1, alpha: { float: 0.3 } },
    },
    weight: [4, 4],
  },
  Gemm: { node: { op: 'Gemm', inputs: ['f', 'h'], outputs: ['y'] }, weight: [4, 4] },
};

describe('layers that onnxruntime fused', () => {
  it.each(Object.keys(fused))('%s', async (name) => {
    const { nodes, initializers } = fused[name]!;
    const all = [...nodes, ...head, last['Gemm']!.node];
    const bytes = bytesOf(classifier(all, [...initializers!, floats('h', [4, 4])]));
    await requireSame(bytes, spellOutFused, /^Fused/, [2, 3, 6, 6]);
  });

  it.each(['FusedGemm: Tanh', 'FusedMatMul: transposed, scaled'])('%s', async (name) => {
    const { node, weight } = last[name]!;
    const nodes = [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['c'] }, ...head, node];
    const bytes = bytesOf(classifier(nodes, [floats('w', [4, 3, 1, 1]), floats('h', weight)]));
    await requireSame(bytes, spellOutFused, /^Fused/, [2, 3, 6, 6]);
  });
});

/** An image of 6 × 6 as 36 tokens of 8 numbers, attention, and a classifier of their mean. */
function attended(
  attention: Pick<TestNode, 'inputs' | 'attributes'>,
  { keys = 8, isApart = false, more = [] as TestModel['initializers'] } = {},
): TestModel {
  const split = (from: string, to: string): TestNode[] => [
    { op: 'Reshape', inputs: [from, 'split'], outputs: [`${from}.split`] },
    { op: 'Transpose', inputs: [`${from}.split`], outputs: [to], attributes: { perm: [0, 2, 1, 3] } },
  ];
  return classifier(
    [
      { op: 'Reshape', inputs: ['x', 'pixels'], outputs: ['flat'] },
      { op: 'Transpose', inputs: ['flat'], outputs: ['t'], attributes: { perm: [0, 2, 1] } },
      ...['q', 'k', 'v'].map((name): TestNode => ({ op: 'MatMul', inputs: ['t', `w.${name}`], outputs: [name] })),
      ...(isApart ? ['q', 'k', 'v'].flatMap((name) => split(name, `${name}.heads`)) : []),
      { op: 'Attention', outputs: ['a'], ...attention },
      ...(isApart
        ? [
            { op: 'Transpose', inputs: ['a'], outputs: ['a.back'], attributes: { perm: [0, 2, 1, 3] } },
            { op: 'Reshape', inputs: ['a.back', 'together'], outputs: ['a.joint'] },
          ]
        : []),
      { op: 'ReduceMean', inputs: [isApart ? 'a.joint' : 'a', 'axes'], outputs: ['m'], attributes: { keepdims: 0 } },
      { op: 'Gemm', inputs: ['m', 'h'], outputs: ['y'] },
    ],
    [
      ...[floats('w.q', [3, 8], 0.8), floats('w.k', [3, keys], 0.8), floats('w.v', [3, keys]), floats('h', [8, 4])],
      { name: 'pixels', type: 'int64', dims: [3], data: BigInt64Array.of(0n, 3n, -1n) },
      { name: 'split', type: 'int64', dims: [4], data: BigInt64Array.of(0n, 0n, 2n, -1n) },
      { name: 'together', type: 'int64', dims: [3], data: BigInt64Array.of(0n, 0n, -1n) },
      { name: 'axes', type: 'int64', dims: [1], data: BigInt64Array.of(1n) },
      ...more!,
    ],
    23,
  );
}

const joint = ['q', 'k', 'v'];
const apart = joint.map((name) => `${name}.heads`);
const twoHeads = { q_num_heads: 2, kv_num_heads: 2 };
const visible = Uint8Array.from({ length: 36 * 36 }, (_, at) => (at % 36 <= Math.floor(at / 36) + 4 ? 1 : 0));

const attentions: Readonly<Record<string, TestModel>> = {
  'heads together': attended({ inputs: joint, attributes: twoHeads }),
  'heads apart, a scale': attended({ inputs: apart, attributes: { scale: { float: 0.7 } } }, { isApart: true }),
  'queries that share keys': attended({ inputs: joint, attributes: { q_num_heads: 4, kv_num_heads: 2 } }, { keys: 4 }),
  causal: attended({ inputs: joint, attributes: { ...twoHeads, is_causal: 1 } }),
  'a mask that is added': attended(
    { inputs: [...joint, 'mask'], attributes: twoHeads },
    { more: [floats('mask', [36, 36], 2)] },
  ),
  'a mask of truths': attended(
    { inputs: [...joint, 'mask'], attributes: twoHeads },
    { more: [{ name: 'mask', type: 'bool', dims: [36, 36], data: visible }] },
  ),
};

describe('Attention', () => {
  it.each(Object.keys(attentions))('%s', async (name) => {
    await requireSame(bytesOf(attentions[name]!), spellOutAttention, /^Attention/, [2, 3, 6, 6]);
  });
});
