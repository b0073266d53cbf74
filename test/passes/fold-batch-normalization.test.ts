import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import type { Value } from '../../src/graph/value.js';
import { modelBytes } from '../../src/graph/write.js';
import { DOUBLE, FLOAT, FLOAT16 } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { inferShapes } from '../../src/ops/infer.js';
import { eliminateDeadNodes } from '../../src/passes/eliminate-dead-nodes.js';
import { foldBatchNormalization } from '../../src/passes/fold-batch-normalization.js';
import { runPasses } from '../../src/passes/runner.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import { buildModel, type Builder, float, int, ints } from '../ops/support/build.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';
import { removeIdentity } from './support/remove-identity.js';

const seed = 41;
const driver = await loadDriver();

/** Numbers in [−1, 1) that look random, from a counter. */
function noise(count: number, salt: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const mixed = Math.imul(Math.imul(i + 1, 2654435761) ^ Math.imul(salt + 1, 40503), 2246822519);
    return ((mixed >>> 8) / 2 ** 24) * 2 - 1;
  });
}

/** The outputs for one input of noise, without onnxruntime's own folding. */
async function outputsOf(model: Model): Promise<Record<string, RuntimeTensor>> {
  const table = inferShapes(model);
  const feeds: Record<string, RuntimeTensor> = {};
  for (const [value, { dims }] of table.inputs.types) {
    const size = dims.reduce((product, dim) => product * dim, 1);
    feeds[value.name] = { type: 'float32', dims, data: noise(size, 7) };
  }
  const session = await driver.createSession(modelBytes(model), { graphOptimization: 'disabled' });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

/** max|a − b| / max|b| over all outputs. */
function relativeDifference(a: Record<string, RuntimeTensor>, b: Record<string, RuntimeTensor>): number {
  let difference = 0;
  let largest = 0;
  for (const [name, { data }] of Object.entries(b)) {
    expect(a[name]?.dims).toEqual(b[name]?.dims);
    const other = a[name]!.data as Float32Array;
    (data as Float32Array).forEach((value, i) => {
      difference = Math.max(difference, Math.abs(value - other[i]!));
      largest = Math.max(largest, Math.abs(value));
    });
  }
  return difference / largest;
}

function addNormalization({ graph, node }: Builder, x: Value, channels: number, salt: number, dataType = FLOAT): Value {
  const parameter = (name: string, values: Float32Array): Value =>
    graph.addInitializer(Tensor.ofFloats(graph.uniqueName(name), [channels], values, dataType));
  const variance = noise(channels, salt + 3).map((value) => value + 1.5);
  const inputs = [
    parameter('scale', noise(channels, salt)),
    parameter('bias', noise(channels, salt + 1)),
    parameter('mean', noise(channels, salt + 2)),
    parameter('variance', variance),
  ];
  return node('BatchNormalization', [x, ...inputs], { epsilon: float(1e-3) })[0]!;
}

/**
 * Folding rounds each weight and bias once more, by at most 2^-24 of itself, and onnxruntime sums in float32 either way.
 * Independent roundings add up as √L over L layers: 53 · 2^-24 at the very worst, 4e-7 for the 53 layers of ResNet-50 as
 * they come. 1e-5 of the largest output leaves room for sums that cancel (the largest seen is 8e-7).
 */
const tolerance = 1e-5;

describe('fold-batch-normalization', () => {
  it('keeps what Conv, ConvTranspose and Gemm compute', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('Conv', 'ConvTranspose', 'Gemm'),
        fc.record({
          group: fc.integer({ min: 1, max: 3 }),
          perGroup: fc.integer({ min: 1, max: 4 }),
          out: fc.integer({ min: 1, max: 4 }),
          kernel: fc.integer({ min: 1, max: 3 }),
          bias: fc.constantFrom('none', 'channel', 'one', 'row'),
          isTransposed: fc.boolean(),
          isBehindChain: fc.boolean(),
          beta: fc.constantFrom(1, 0.5),
          opset: fc.constantFrom(9, 13, 17),
        }),
        async (opType, { group, perGroup, out, kernel, bias, isTransposed, isBehindChain, beta, opset }) => {
          const builder = buildModel(opset);
          const { model, graph, node } = builder;
          const isGemm = opType === 'Gemm';
          const channelsIn = isGemm ? perGroup : group * perGroup;
          const channelsOut = isGemm ? out : group * out;
          const dims = isGemm
            ? isTransposed
              ? [channelsOut, channelsIn]
              : [channelsIn, channelsOut]
            : opType === 'Conv'
              ? [channelsOut, perGroup, kernel, kernel]
              : [channelsIn, out, kernel, kernel];
          const x = graph.addInput('x', { dataType: FLOAT, dims: isGemm ? [3, channelsIn] : [2, channelsIn, 5, 4] });
          const size = dims.reduce((product, dim) => product * dim, 1);
          let w = graph.addInitializer(Tensor.ofFloats('layer.weight', dims, noise(size, 11)));
          if (isBehindChain) w = node('Identity', [w])[0]!;
          const inputs: Value[] = [x, w];
          const isBiased = isGemm ? opset < 11 || bias !== 'none' : bias === 'channel';
          if (isBiased) {
            const biasDims =
              isGemm && bias === 'one' ? [1] : isGemm && bias === 'row' ? [1, channelsOut] : [channelsOut];
            const count = biasDims.reduce((product, dim) => product * dim, 1);
            inputs.push(graph.addInitializer(Tensor.ofFloats('layer.bias', biasDims, noise(count, 12))));
          }
          const attributes: Record<string, Attribute> = isGemm
            ? { transB: int(isTransposed ? 1 : 0), alpha: float(1.5), beta: float(beta) }
            : { group: int(group), kernel_shape: ints([kernel, kernel]) };
          const y = node(opType, inputs, attributes, { name: 'layer' })[0]!;
          const normalized = addNormalization(builder, y, channelsOut, 20);
          graph.addOutput(normalized, { dataType: FLOAT, dims: undefined });
          const before = await outputsOf(model);

          const report = runPasses(model, [foldBatchNormalization, eliminateDeadNodes]);
          expect(report.passes[0]).toEqual({ name: 'fold-batch-normalization', changes: 1, refusals: [] });
          expect(graph.nodes.map(({ label }) => label)).toEqual([`${opType} 'layer'`]);
          expect(graph.initializers).toHaveLength(2);
          expect(relativeDifference(await outputsOf(model), before)).toBeLessThan(tolerance);
        },
      ),
      { seed, numRuns: 60 },
    );
  });

  const candidates = sharedModels().filter((name) => /bn|resnet50v2|st-|seresnet/.test(name));

  it.skipIf(!hasShared).each(candidates)('%s: the same outputs', async (name) => {
    const model = readModel(modelPath(name));
    try {
      const norms = model.graph.nodes.filter(({ opType }) => opType === 'BatchNormalization').length;
      const before = await outputsOf(model);
      const report = runPasses(model, [removeIdentity, foldBatchNormalization, eliminateDeadNodes]);
      const [, folded] = report.passes;
      expect(folded!.changes + folded!.refusals.length).toBe(norms);
      const left = model.graph.nodes.filter(({ opType }) => opType === 'BatchNormalization').length;
      expect(left).toBe(folded!.refusals.length);
      expect(relativeDifference(await outputsOf(model), before)).toBeLessThan(tolerance);
    } finally {
      model.file?.close();
    }
  });

  it('folds a shared weight once for each layer', async () => {
    const builder = buildModel(17);
    const { model, graph, node } = builder;
    const x = graph.addInput('x', { dataType: FLOAT, dims: [1, 3, 6, 6] });
    const w = graph.addInitializer(Tensor.ofFloats('w', [3, 3, 3, 3], noise(81, 1)));
    const first = addNormalization(builder, node('Conv', [x, w])[0]!, 3, 30);
    const second = addNormalization(builder, node('Conv', [first, w])[0]!, 3, 40);
    graph.addOutput(second);
    const before = await outputsOf(model);
    const report = runPasses(model, [foldBatchNormalization]);
    expect(report.passes[0]!.changes).toBe(2);
    expect(graph.initializers.filter(({ tensor }) => tensor!.dims.length === 4)).toHaveLength(2);
    expect(graph.value('w')).toBe(w);
    expect(relativeDifference(await outputsOf(model), before)).toBeLessThan(tolerance);
  });

  it('lists new initializers among the inputs in IR 3', () => {
    const builder = buildModel(9);
    const { model, graph, node } = builder;
    model.irVersion = 3;
    const x = graph.addInput('x', { dataType: FLOAT, dims: [1, 3, 6, 6] });
    const w = graph.addInitializer(Tensor.ofFloats('c.weight', [2, 3, 3, 3], noise(54, 1)));
    graph.addInput('c.weight', { dataType: FLOAT, dims: [2, 3, 3, 3] });
    graph.addOutput(addNormalization(builder, node('Conv', [x, w])[0]!, 2, 30));
    for (const value of graph.initializers) {
      if (!value.isInput) graph.addInput(value.name, { dataType: FLOAT, dims: value.tensor!.dims });
    }
    runPasses(model, [foldBatchNormalization]);
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x', 'c.weight', 'c.bias']);
  });

  const refusal = (name: string, build: (builder: Builder, x: Value) => void, reason: RegExp): void => {
    it(`refuses: ${name}`, () => {
      const builder = buildModel(17);
      const x = builder.graph.addInput('x', { dataType: FLOAT, dims: [1, 3, 6, 6] });
      build(builder, x);
      const nodes = builder.graph.nodes.length;
      const [result] = runPasses(builder.model, [foldBatchNormalization]).passes;
      expect(result!.changes).toBe(0);
      expect(result!.refusals.map(({ reason: text }) => text)).toEqual([expect.stringMatching(reason)]);
      expect(builder.graph.nodes).toHaveLength(nodes);
    });
  };
  const weight = ({ graph }: Builder, dataType = FLOAT): Value =>
    graph.addInitializer(Tensor.ofFloats('w', [3, 3, 3, 3], noise(81, 1), dataType));

  refusal(
    'another reader of the layer',
    (builder, x) => {
      const [y] = builder.node('Conv', [x, weight(builder)]);
      builder.graph.addOutput(addNormalization(builder, y!, 3, 1));
      builder.graph.addOutput(builder.node('Relu', [y])[0]!);
    },
    /'Conv_out' has 2 readers/,
  );
  refusal(
    'the layer is an output',
    (builder, x) => {
      const [y] = builder.node('Conv', [x, weight(builder)]);
      builder.graph.addOutput(addNormalization(builder, y!, 3, 1));
      builder.graph.addOutput(y!);
    },
    /'Conv_out' is an output of the model/,
  );
  refusal(
    'no layer before it',
    (builder, x) => builder.graph.addOutput(addNormalization(builder, builder.node('Relu', [x])[0]!, 3, 1)),
    /its input comes from Relu 'Relu', which is no Conv/,
  );
  refusal(
    'a computed weight',
    (builder, x) => {
      const [w] = builder.node('Abs', [weight(builder)]);
      builder.graph.addOutput(addNormalization(builder, builder.node('Conv', [x, w])[0]!, 3, 1));
    },
    /the weight of Conv 'Conv' is not stored/,
  );
  refusal(
    'training form',
    (builder, x) => {
      const y = addNormalization(builder, builder.node('Conv', [x, weight(builder)])[0]!, 3, 1);
      y.producer!.setAttribute('training_mode', int(1));
      builder.graph.addOutput(y);
    },
    /training form/,
  );
  it('refuses float64 and what overflows float16', () => {
    for (const [dataType, reason] of [
      [DOUBLE, /float64/],
      [FLOAT16, /not be finite in float16/],
    ] as const) {
      const builder = buildModel(17);
      const { graph, node } = builder;
      const x = graph.addInput('x', { dataType, dims: [1, 3, 6, 6] });
      const w = graph.addInitializer(
        Tensor.ofFloats(
          'w',
          [3, 3, 3, 3],
          noise(81, 1).map((value) => value * 60000),
          dataType,
        ),
      );
      const y = addNormalization(builder, node('Conv', [x, w])[0]!, 3, 1, dataType);
      const variance = y.producer!.inputs[4]!;
      graph.setTensor(variance, Tensor.ofFloats('v', [3], Float32Array.of(1e-4, 1e-4, 1e-4), dataType));
      graph.addOutput(y);
      const [result] = runPasses(builder.model, [foldBatchNormalization]).passes;
      expect(result!.refusals.map(({ reason: text }) => text)).toEqual([expect.stringMatching(reason)]);
    }
  });
});
