import { describe, expect, it } from 'vitest';
import { addFactorWeights, emitFactors } from '../../src/rewrite/emit.js';
import { selectCandidates } from '../../src/factorize/candidates.js';
import { clearlyCheaper, findPairs, type FoundPairs, maxRankOf, pairCounts } from '../../src/rewrite/find-pairs.js';
import { breakEvenRank, matrixShape } from '../../src/rewrite/geometry.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { splitPair, toKernels } from '../../src/rewrite/layout.js';
import { type PairRecord, pairsKey, readPairs, writePairs } from '../../src/rewrite/pairs.js';
import { resolveSettings } from '../../src/convert/settings.js';
import { prepareModel } from '../../src/rewrite/prepare.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inferShapes } from '../../src/ops/infer.js';
import type { Scheme } from '../../src/contracts/convert.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { batchNormalization, chain, conv, gemm, matmul, plain, type Step } from '../inspect/support/layers.js';
import { buildModel, type TestModel } from '../support/models.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';

function pairsOf(model: Model): FoundPairs {
  return findPairs(model, findLayers(model.graph, inferShapes(model)));
}

function search(model: TestModel): FoundPairs {
  return pairsOf(readModel(buildModel(model)));
}

/** What a pair is, in one line: "spatial 8 of 48×24". */
function describePairs({ pairs }: FoundPairs): string[] {
  return pairs.map(({ scheme, rank, matrix }) => `${scheme} ${rank} of ${matrix.rows}×${matrix.cols}`);
}

const image = [1, 8, 12, 12];
const rows = [3, 24];

describe('pairs that were made to save', () => {
  const head = (width: number): Model =>
    readModel(buildModel(chain(image, [conv('a', [8, width], [1, 1]), conv('b', [width, 24], [1, 1], {}, true)])));

  it('cost at most half of their product', () => {
    const found = (width: number): number => {
      const model = head(width);
      return findPairs(model, findLayers(model.graph, inferShapes(model)), clearlyCheaper).pairs.length;
    };
    // 32 · width numbers in place of 192.
    expect([1, 2, 4, 6].map(found)).toEqual([1, 1, 0, 0]);
    expect(pairsOf(head(4)).pairs).toHaveLength(1);
  });

  it('are kept by a conversion, unless they are to be factorized too', () => {
    const reasons = (width: number, factorizePairs: boolean): (string | undefined)[] => {
      const model = head(width);
      const layers = findLayers(model.graph, inferShapes(model));
      const { selection, fitting } = resolveSettings({ keepFirst: false, keepLast: false, factorizePairs });
      const { kept } = selectCandidates(model, layers, selection, fitting.init);
      return layers.map((layer) => kept.get(layer));
    };
    const reason = 'already a factor of a low-rank pair (--factorize-pairs factorizes it)';
    expect(reasons(2, false)).toEqual([reason, reason]);
    expect(reasons(2, true)).toEqual([undefined, undefined]);
    // As the head of an EfficientNet, 1152 → 320 → 1280.
    expect(reasons(4, false)).toEqual([undefined, undefined]);
  });
});

describe('pairs recognized by their structure', () => {
  const cases: readonly (readonly [string, readonly number[], readonly Step[], string])[] = [
    ['1×3 then 3×1', image, [conv('a', [8, 6], [1, 3]), conv('b', [6, 16], [3, 1], {}, true)], 'spatial 6 of 48×24'],
    ['3×1 then 1×3', image, [conv('a', [8, 6], [3, 1]), conv('b', [6, 16], [1, 3])], 'spatial 6 of 48×24'],
    ['3×3 then 1×1', image, [conv('a', [8, 6], [3, 3]), conv('b', [6, 16], [1, 1])], 'channel 6 of 16×72'],
    ['1×1 then 3×3', image, [conv('a', [8, 6], [1, 1]), conv('b', [6, 16], [3, 3])], 'channel 6 of 144×8'],
    ['1×1 then 1×1', image, [conv('a', [8, 6], [1, 1]), conv('b', [6, 16], [1, 1])], 'channel 6 of 16×8'],
    [
      'stride and dilation split over the axes',
      image,
      [
        conv('a', [8, 6], [1, 3], { strides: [1, 2], dilations: [1, 2] }),
        conv('b', [6, 16], [5, 1], { strides: [3, 1] }),
      ],
      'spatial 6 of 80×24',
    ],
    [
      'auto_pad',
      image,
      [conv('a', [8, 6], [1, 3], { auto_pad: 'SAME_UPPER' }), conv('b', [6, 16], [3, 1], { auto_pad: 'SAME_UPPER' })],
      'spatial 6 of 48×24',
    ],
    [
      'through an Identity',
      image,
      [conv('a', [8, 6], [3, 3]), plain('Identity'), conv('b', [6, 16], [1, 1])],
      'channel 6 of 16×72',
    ],
    ['MatMul then MatMul', rows, [matmul('a', [24, 5]), matmul('b', [5, 9])], 'dense 5 of 9×24'],
    ['W·x twice', [24, 3], [matmul('a', [24, 5], true), matmul('b', [5, 9], true)], 'dense 5 of 9×24'],
    ['MatMul then Gemm', rows, [matmul('a', [24, 5]), gemm('b', [5, 9], { transB: 1 }, true)], 'dense 5 of 9×24'],
    ['Gemm then Gemm', rows, [gemm('a', [24, 5], { transB: 1 }), gemm('b', [5, 9], {}, true)], 'dense 5 of 9×24'],
    ['Gemm then MatMul', rows, [gemm('a', [24, 5]), matmul('b', [5, 9])], 'dense 5 of 9×24'],
  ];

  it.each(cases)('%s', (_, inputDims, steps, expected) => {
    const found = search(chain(inputDims, steps));
    expect(describePairs(found)).toEqual([expected]);
    expect(found.pairs[0]).toMatchObject({ name: 'a + b', recognizedBy: 'structure', record: undefined });
    expect(found.warnings).toEqual([]);
  });

  it('counts the pair and the layer that it stands for', () => {
    const model = chain(image, [
      conv('a', [8, 6], [1, 3], { strides: [1, 2] }),
      conv('b', [6, 16], [3, 1], { strides: [2, 1] }, true),
    ]);
    const [pair] = search(model).pairs;
    // The first convolution gives 12×6, the second 6×6.
    expect(pairCounts(pair!)).toEqual({
      params: { single: 16 * 8 * 9 + 16, pair: 6 * 8 * 3 + 16 * 6 * 3 + 16 },
      macs: { single: 16 * 8 * 9 * 36, pair: 6 * 8 * 3 * 72 + 16 * 6 * 3 * 36 },
      // 16·8·9·36 / (8·3·72 + 16·3·36) = 12 exactly, and rank 12 would save nothing; by parameters 16 − 1.
      breakEvenRank: 11,
    });
    expect(pair!.geometry).toEqual({
      out: 16,
      in: 8,
      kernel: [3, 3],
      inputSize: [12, 12],
      outputSize: [6, 6],
      batch: 1,
    });
  });
});

describe('what is no pair', () => {
  const cases: readonly (readonly [string, readonly number[], readonly Step[]])[] = [
    ['a bias between', image, [conv('a', [8, 6], [3, 3], {}, true), conv('b', [6, 16], [1, 1])]],
    ['an activation between', image, [conv('a', [8, 6], [3, 3]), plain('Relu'), conv('b', [6, 16], [1, 1])]],
    [
      'BatchNormalization between, as in a linear bottleneck',
      image,
      [conv('a', [8, 6], [1, 1]), batchNormalization('bn', 6), conv('b', [6, 16], [1, 1])],
    ],
    ['a depthwise factor', image, [conv('a', [8, 8], [3, 3], { group: 8 }), conv('b', [8, 16], [1, 1])]],
    ['grouped second factor', image, [conv('a', [8, 6], [1, 1]), conv('b', [6, 16], [3, 3], { group: 2 })]],
    ['a rank that is no less than the input', image, [conv('a', [8, 8], [1, 1]), conv('b', [8, 16], [3, 3])]],
    ['a rank that is no less than the output', image, [conv('a', [8, 4], [3, 3]), conv('b', [4, 4], [1, 1])]],
    ['an expansion', image, [conv('a', [8, 32], [1, 1]), conv('b', [32, 16], [1, 1])]],
    ['two 3×3, which make a 5×5', image, [conv('a', [8, 2], [3, 3]), conv('b', [2, 16], [3, 3])]],
    ['3×3 then 1×1 with a stride', image, [conv('a', [8, 2], [3, 3]), conv('b', [2, 16], [1, 1], { strides: [2, 2] })]],
    [
      'padding where the other has the window',
      image,
      [conv('a', [8, 2], [3, 3]), conv('b', [2, 16], [1, 1], { pads: [1, 1, 1, 1] })],
    ],
    ['x·W then W·x', [24, 24], [matmul('a', [24, 5]), matmul('b', [24, 9], true)]],
    ['a Gemm that transposes the result', [5, 24], [matmul('a', [24, 3]), gemm('b', [5, 9], { transA: 1 })]],
  ];

  it.each(cases)('%s', (_, inputDims, steps) => {
    const found = search(chain(inputDims, steps));
    expect(describePairs(found)).toEqual([]);
    expect(found.chained.size).toBe(0);
  });

  it.each([
    [
      'an output of the model',
      chain(image, [conv('a', [8, 6], [3, 3]), conv('b', [6, 16], [1, 1])], { outputs: ['h1'] }),
    ],
    ['read by another node', withSecondReader()],
  ])('the value between is %s', (_, model) => {
    expect(describePairs(search(model))).toEqual([]);
  });

  function withSecondReader(): TestModel {
    const model = chain(image, [conv('a', [8, 6], [3, 3]), conv('b', [6, 16], [1, 1])]);
    return {
      ...model,
      outputs: [...model.outputs, { name: 'z' }],
      nodes: [...model.nodes, { op: 'Relu', inputs: ['h1'], outputs: ['z'] }],
    };
  }

  it('chains of three linear layers (Tucker form) are named, not split', () => {
    const tucker = chain(image, [
      conv('a', [8, 3], [1, 1]),
      conv('b', [3, 4], [3, 3]),
      conv('c', [4, 16], [1, 1], {}, true),
    ]);
    const found = search(tucker);
    expect(found.pairs).toEqual([]);
    expect([...found.chained].map(([layer]) => layer.name)).toEqual(['a', 'b', 'c']);
    expect([...new Set(found.chained.values())]).toEqual([
      'one of 3 linear layers in a row (a to c), which are no pair',
    ]);
  });

  it.skipIf(!hasShared)('no layer of the real full-rank models is taken for a factor', async () => {
    for (const name of sharedModels()) {
      const { model, shapes } = await prepareModel(modelPath(name), { driver: loadDriver });
      try {
        const found = findPairs(model, findLayers(model.graph, shapes));
        expect({ name, pairs: describePairs(found), chained: found.chained.size, warnings: found.warnings }).toEqual({
          name,
          pairs: [],
          chained: 0,
          warnings: [],
        });
      } finally {
        model.file?.close();
      }
    }
  });
});

describe('pairs recorded in the metadata', () => {
  /** The only layer of a model becomes a pair of this rank, recorded as `convert` records it. */
  function factorized(single: TestModel, scheme: Scheme, rank: number): Model {
    const model = readModel(buildModel(single));
    const layer = findLayers(model.graph, inferShapes(model))[0];
    if (layer?.kind !== 'factorizable') throw new Error(`not factorizable: ${layer?.reason}`);
    const { rows: height, cols: width } = matrixShape(layer.geometry, scheme);
    const zeros = (r: number, c: number) => ({ rows: r, cols: c, data: new Float32Array(r * c) });
    const pair = { left: zeros(height, rank), right: zeros(rank, width) };
    const transB = layer.node.int('transB', 0);
    const kernels = toKernels(splitPair(pair, scheme), layer.geometry, scheme, layer.form, transB);
    const weights = addFactorWeights(model, layer, scheme, kernels);
    const nodes = emitFactors(model, layer, scheme, weights);
    const record: PairRecord = {
      name: layer.name,
      op: layer.node.opType as PairRecord['op'],
      scheme,
      rank,
      kernel: layer.geometry.kernel,
      in: layer.geometry.in,
      out: layer.geometry.out,
      init: 'lfai',
      activation: 'Relu',
      nodes: nodes.map(({ name }) => name),
      factors: weights.map(({ name }) => name),
    };
    writePairs(model, [record]);
    return readModel(modelBytes(model));
  }

  const change = (model: Model, changes: Readonly<Record<string, unknown>>): Model => {
    const [record] = JSON.parse(model.metadata.get(pairsKey)!) as readonly object[];
    model.metadata.set(pairsKey, JSON.stringify([{ ...record, ...changes }]));
    return model;
  };

  const conv3 = chain(image, [conv('layer1.conv', [8, 16], [3, 3], { strides: [2, 2] }, true)]);

  it.each([
    ['spatial', conv3, 'spatial', 24],
    ['channel', conv3, 'channel', 16],
    [
      'spatial, 1×3 with a stride in height',
      chain(image, [conv('layer1.conv', [8, 16], [1, 3], { strides: [2, 1] })]),
      'spatial',
      7,
    ],
    ['channel, 1×1', chain(image, [conv('layer1.conv', [8, 16], [1, 1], { strides: [2, 2] })]), 'channel', 3],
    ['Gemm', chain([24, 3], [gemm('layer1.conv', [24, 9], { transA: 1, transB: 1 }, true)]), 'dense', 9],
    ['MatMul', chain(rows, [matmul('layer1.conv', [24, 9])]), 'dense', 4],
  ] as const)('%s, any rank up to the full one', (_, single, scheme, rank) => {
    const full = readModel(buildModel(single));
    const original = findLayers(full.graph, inferShapes(full))[0]!;
    const found = pairsOf(factorized(single, scheme, rank));
    expect(found.warnings).toEqual([]);
    expect(found.pairs).toHaveLength(1);
    const pair = found.pairs[0]!;
    expect(pair).toMatchObject({
      name: 'layer1.conv',
      recognizedBy: 'metadata',
      scheme,
      rank,
      geometry: original.geometry,
    });
    expect(maxRankOf(pair)).toBe(Math.min(...Object.values(matrixShape(original.geometry, scheme)).slice(0, 2)));
    expect(pairCounts(pair).breakEvenRank).toBe(breakEvenRank(original.geometry, scheme));
  });

  it('a record that the graph does not bear out is a warning, and the structure decides', () => {
    const stale: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
      [{ nodes: ['gone.v', 'layer1.conv.u'] }, /there is no layer 'gone\.v'/],
      [{ nodes: ['layer1.conv.v', 'gone.u'] }, /there is no layer 'gone\.u'/],
      [{ nodes: ['layer1.conv.u', 'layer1.conv.v'] }, /'layer1\.conv\.u' has a bias/],
      [{ nodes: [1, 2] }, /there is no layer '1'/],
      [{ rank: 4 }, /4, 8, 16, 3, 3 where there is 6, 8, 16, 3, 3/],
      [{ out: 32 }, /6, 8, 32, 3, 3 where/],
      [{ kernel: undefined }, /6, 8, 16 where there is 6, 8, 16, 3, 3/],
    ];
    for (const [changes, message] of stale) {
      const found = pairsOf(change(factorized(conv3, 'spatial', 6), changes));
      expect(found.warnings).toEqual([expect.stringMatching(message)]);
      expect(found.pairs).toEqual([
        expect.objectContaining({ name: 'layer1.conv.v + layer1.conv.u', recognizedBy: 'structure', rank: 6 }),
      ]);
    }
  });

  it('a pair recorded twice is found once', () => {
    const model = factorized(conv3, 'channel', 6);
    writePairs(model, [...readPairs(model), ...readPairs(model)]);
    const found = pairsOf(model);
    expect(found.pairs).toHaveLength(1);
    expect(found.warnings).toEqual([expect.stringMatching(/recorded twice/)]);
  });

  it('metadata that cannot be read are a warning', () => {
    const model = factorized(conv3, 'channel', 6);
    model.metadata.set(pairsKey, '{"broken": ');
    const found = pairsOf(model);
    expect(found.pairs).toMatchObject([{ recognizedBy: 'structure', scheme: 'channel' }]);
    expect(found.warnings).toEqual([expect.stringMatching(/not a list of pairs/)]);
  });
});
