import { describe, expect, it } from 'vitest';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { openBatch } from '../../src/passes/open-batch.js';
import { type Pass, runPasses } from '../../src/passes/runner.js';
import { spellOutMultiHeadAttention } from '../../src/passes/spell-out-multi-head-attention.js';
import { spellOutProjections } from '../../src/passes/spell-out-projections.js';
import type { TestModel, TestNode } from '../support/models.js';
import { bytesOf, classifier, floats, outputOf, requireSame } from './support/spelled-out.js';

const ints = (name: string, ...values: number[]): NonNullable<TestModel['initializers']>[number] => ({
  ...{ name, type: 'int64', dims: [values.length] },
  data: BigInt64Array.from(values, BigInt),
});

const domain = 'com.microsoft';

/** Which pixels are seen: [n, 36] of 0 and 1, as many in a row for each query, and how many. */
const masks: readonly TestNode[] = [
  { op: 'Gather', inputs: ['t', 'red'], outputs: ['reds'], attributes: { axis: 2 } },
  { op: 'Greater', inputs: ['reds', 'low'], outputs: ['bright'] },
  { op: 'Cast', inputs: ['bright'], outputs: ['seen'], attributes: { to: 6 } },
  { op: 'Unsqueeze', inputs: ['seen', 'axis1'], outputs: ['seen1'] },
  { op: 'Unsqueeze', inputs: ['seen', 'axis2'], outputs: ['seen2'] },
  { op: 'Mul', inputs: ['seen1', 'seen2'], outputs: ['seen.each'] },
  { op: 'ReduceSum', inputs: ['seen', 'axis1'], outputs: ['seen.count'], attributes: { keepdims: 0 } },
];

/** An image of 6 × 6 as 36 tokens of 3 numbers, attention of them, which gives `a` of `width` numbers, and a classifier of their mean. */
function attended(nodes: readonly TestNode[], initializers: TestModel['initializers'], width = 8): Uint8Array {
  return bytesOf(
    classifier(
      [
        { op: 'Reshape', inputs: ['x', 'pixels'], outputs: ['flat'] },
        { op: 'Transpose', inputs: ['flat'], outputs: ['t'], attributes: { perm: [0, 2, 1] } },
        ...(nodes.some(({ inputs }) => inputs.some((name) => name.startsWith('seen'))) ? masks : []),
        ...nodes,
        { op: 'ReduceMean', inputs: ['a'], outputs: ['m'], attributes: { axes: [1], keepdims: 0 } },
        { op: 'Gemm', inputs: ['m', 'h'], outputs: ['y'] },
      ],
      [
        ...[ints('pixels', 0, 3, -1), ints('axis1', 1), ints('axis2', 2), floats('h', [width, 4])],
        { name: 'red', type: 'int64', dims: [], data: BigInt64Array.of(0n) },
        { name: 'low', dims: [], data: Float32Array.of(-0.5) },
        ...initializers!,
      ],
    ),
  );
}

/** Of 24 numbers for queries, keys and values, in two heads. */
function fused(more: Partial<TestNode> = {}, initializers: TestModel['initializers'] = []): Uint8Array {
  const { inputs = ['t', 'w', 'b'], attributes = {} } = more;
  const node = { op: 'Attention', domain, inputs, outputs: ['a'], attributes: { num_heads: 2, ...attributes } };
  return attended([node], [floats('w', [3, 24], 0.8), floats('b', [24]), ...initializers]);
}

const fusedCases: Readonly<Record<string, Uint8Array>> = {
  'weights and biases': fused(),
  'a scale': fused({ attributes: { scale: { float: 0.7 } } }),
  causal: fused({ attributes: { unidirectional: 1 } }),
  'keys that are seen': fused({ inputs: ['t', 'w', 'b', 'seen'] }),
  'keys that are seen, causal': fused({ inputs: ['t', 'w', 'b', 'seen'], attributes: { unidirectional: 1 } }),
  'keys that each query sees, hidden by a number': fused({
    inputs: ['t', 'w', 'b', 'seen.each'],
    attributes: { mask_filter_value: { float: -1.5 } },
  }),
  'how many keys are seen': fused({ inputs: ['t', 'w', 'b', 'seen.count'] }),
  'a bias of the scores': fused({ inputs: ['t', 'w', 'b', '', '', 'bias'] }, [floats('bias', [1, 2, 36, 36])]),
  'values of another width': attended(
    [
      {
        ...{ op: 'Attention', domain, inputs: ['t', 'w', 'b'], outputs: ['a'] },
        attributes: { num_heads: 2, qkv_hidden_sizes: [8, 8, 6] },
      },
    ],
    [floats('w', [3, 22], 0.8), floats('b', [22])],
    6,
  ),
};

/** Queries, keys and values of eight numbers, by products of their own; keys and values with their heads apart, where asked for. */
function apart(inputs: readonly string[], attributes: TestNode['attributes'] = {}, isApart = false): Uint8Array {
  const split = (name: string): TestNode[] => [
    { op: 'Reshape', inputs: [name, 'split'], outputs: [`${name}.split`] },
    { op: 'Transpose', inputs: [`${name}.split`], outputs: [`${name}.heads`], attributes: { perm: [0, 2, 1, 3] } },
  ];
  return attended(
    [
      ...['q', 'k', 'v'].map((name): TestNode => ({ op: 'MatMul', inputs: ['t', `w.${name}`], outputs: [name] })),
      ...(isApart ? [...split('k'), ...split('v')] : []),
      { op: 'MultiHeadAttention', domain, inputs, outputs: ['a'], attributes: { num_heads: 2, ...attributes } },
    ],
    [
      ...['q', 'k', 'v'].map((name) => floats(`w.${name}`, [3, 8], 0.8)),
      ...[floats('b', [24]), floats('bias', [1, 1, 36, 36]), ints('split', 0, 0, 2, -1)],
    ],
  );
}

const apartCases: Readonly<Record<string, Uint8Array>> = {
  plain: apart(['q', 'k', 'v']),
  'biases, a scale': apart(['q', 'k', 'v', 'b'], { scale: { float: 0.7 } }),
  'keys and values with heads apart': apart(['q', 'k.heads', 'v.heads'], {}, true),
  'a bias of the scores, causal': apart(['q', 'k', 'v', '', '', 'bias'], { unidirectional: 1 }),
  'keys that are seen': apart(['q', 'k', 'v', 'b', 'seen', 'bias']),
  'how many keys are seen': apart(['q', 'k', 'v', '', 'seen.count']),
};

/** The same for one image at a time, as an exporter bakes it in. */
function ofOneImage(bytes: Uint8Array): Model {
  const model = readModel(bytes);
  for (const value of [...model.graph.inputs, ...model.graph.outputs]) {
    const { dataType, dims } = value.declared!;
    value.declared = { dataType, dims: [1, ...dims!.slice(1)] };
    value.info = undefined;
  }
  return model;
}

async function requireOpened(bytes: Uint8Array): Promise<void> {
  const model = ofOneImage(bytes);
  expect(openBatch(model, model.graph.inputs[0]!)).toBeUndefined();
  const dims = [3, 3, 6, 6];
  expect(await outputOf(modelBytes(model), dims)).toEqual(await outputOf(bytes, dims));
}

describe('a batch of one that is opened past attention of onnxruntime', () => {
  it.each(Object.keys(fusedCases))('weights and all: %s', (name) => requireOpened(fusedCases[name]!));
  it.each(Object.keys(apartCases))('queries, keys and values: %s', (name) => requireOpened(apartCases[name]!));

  it('is not where the keys of one image are counted in the file', () => {
    const model = ofOneImage(fused({ inputs: ['t', 'w', 'b', 'counts'] }, [counts()]));
    expect(openBatch(model, model.graph.inputs[0]!)?.message).toMatch(/'counts' is the same for all images/);
  });
});

describe('Attention of onnxruntime', () => {
  it.each(Object.keys(fusedCases))('%s', async (name) => {
    await requireSame(fusedCases[name]!, spellOutProjections, /^Attention$/, [2, 3, 6, 6]);
  });

  // onnxruntime 1.30 ends the process where it runs Attention without biases.
  it('without biases is what zeros give, before opset 13 too', async () => {
    const dims = [2, 3, 6, 6];
    const zeros = { name: 'zeros', dims: [24], data: new Float32Array(24) };
    const expected = await outputOf(fused({ inputs: ['t', 'w', 'zeros'] }, [zeros]), dims);
    for (const opset of [11, 17]) {
      const model = readModel(fused({ inputs: ['t', 'w'] }));
      model.opsets.set('', opset);
      runPasses(model, [spellOutProjections], { shapes: { inputShapes: { x: dims } } });
      const spelled = await outputOf(modelBytes(model), dims);
      spelled.forEach((value, at) => expect(value).toBeCloseTo(expected[at]!, 5));
    }
  });

  it.each([
    ['it turns queries and keys', fused({ attributes: { do_rotary: 1 } })],
    ['its mask_index has the shape [4]', fused({ inputs: ['t', 'w', 'b', 'ends'] }, [ends()])],
    ['it goes on from past keys', fused({ inputs: ['t', 'w', 'b', '', 'past'] }, [floats('past', [2, 2, 2, 1, 4])])],
  ])('stays where %s', (reason, bytes) => {
    expect(refusals(bytes, spellOutProjections)).toEqual([reason]);
  });
});

describe('MultiHeadAttention of onnxruntime', () => {
  it.each(Object.keys(apartCases))('%s', async (name) => {
    await requireSame(apartCases[name]!, spellOutMultiHeadAttention, /^MultiHeadAttention$/, [2, 3, 6, 6]);
  });

  it('stays where it goes on from past keys', () => {
    const bytes = apart(['q', 'k', 'v', '', '', '', 'bias', 'bias']);
    expect(refusals(bytes, spellOutMultiHeadAttention)).toEqual(['it goes on from past keys']);
  });
});

/** Where the keys of two images end, and where they begin. */
function ends(): NonNullable<TestModel['initializers']>[number] {
  return { name: 'ends', type: 'int32', dims: [4], data: Int32Array.of(30, 36, 2, 0) };
}

/** How many keys of one image are seen. */
function counts(): NonNullable<TestModel['initializers']>[number] {
  return { name: 'counts', type: 'int32', dims: [1], data: Int32Array.of(30) };
}

function refusals(bytes: Uint8Array, pass: Pass): readonly string[] {
  const { passes } = runPasses(readModel(bytes), [pass], { shapes: { inputShapes: { x: [2, 3, 6, 6] } } });
  return passes.flatMap((result) => result.refusals.map(({ reason }) => reason));
}
