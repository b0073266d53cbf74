import { describe, expect, it } from 'vitest';
import { architectures, create } from '../../models/index.js';
import { NORMALIZATIONS } from '../../src/data/normalize.js';
import { modelBytes } from '../../src/graph/write.js';
import { LowrankError } from '../../src/errors.js';
import { cpuNodes, describeCpuNodes, isOfShapes } from '../../src/lower/cuda/placement.js';
import { inferShapes } from '../../src/ops/infer.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildCombineGraph } from '../../src/step/combine-graph.js';
import type { EmittedGraph } from '../../src/step/emitted.js';
import { buildEvalGraph } from '../../src/step/eval-graph.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { optimizerNames, precisionNames } from '../../src/contracts/train-settings.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { targetOf } from '../../src/lower/target.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { modelPath, sharedModels } from '../support/shared.js';
import { nets, readGolden, hasGoldens } from './support/golden.js';

const batch = 4;
const driver = await loadDriver();

/** What runs on the CPU of a graph as a training on CUDA emits it. */
function strangers({ model }: EmittedGraph, isOpen: boolean, nhwc = false): string | undefined {
  const nodes = cpuNodes(model, inferShapes(model), { nhwc });
  return describeCpuNodes(isOpen ? nodes.filter((node) => !isOfShapes(node)) : nodes, 'the graph');
}

/** Every graph of a training with these settings, as `lowrank-train --device cuda` emits it. */
async function expectOnDevice(source: string | Uint8Array, settings: GraphSettings, nhwc = false): Promise<void> {
  const { build, opsets, passes } = await targetOf('cuda', driver, { nhwc });
  const prepared = prepareTraining(source, { settings });
  try {
    const colors = prepared.imageDims[prepared.layout === 'nhwc' ? 2 : 0] === 3;
    const bytes = colors ? { normalization: NORMALIZATIONS['imagenet'], hasFlips: true } : undefined;
    const emit = { batch, isBatchOpen: false, passes };
    const gradient = buildGradientGraph(prepared, settings, emit, build, opsets, bytes);
    expect(strangers(gradient, false, nhwc)).toBe(undefined);
    expect(strangers(buildUpdateGraph(prepared, settings), false)).toBe(undefined);
    // The last batch of a validation is smaller: its graph may compute with shapes.
    expect(strangers(buildEvalGraph(prepared, { ...emit, isBatchOpen: true }, bytes), true, nhwc)).toBe(undefined);
    if (nhwc) return; // an option of lowrank-train, whose batch is fixed
    const open = buildGradientGraph(prepared, settings, { ...emit, isBatchOpen: true }, build, opsets);
    expect(strangers(open, true)).toBe(undefined);
  } finally {
    prepared.model.file?.close();
  }
}

const everything: GraphSettings = {
  ...{ ...defaultGraphSettings, labelSmoothing: 0.1, dropPath: 0.2, dropout: 0.2, clip: 1, frobeniusDecay: 1e-4 },
};

/** Those of `everything` that a model has a place for. */
function applicable(source: string | Uint8Array, settings: GraphSettings): GraphSettings {
  try {
    prepareTraining(source, { settings }).model.file?.close();
    return settings;
  } catch (error) {
    if (!(error instanceof LowrankError)) throw error;
    if (error.fact.includes('drop path')) return applicable(source, { ...settings, dropPath: 0 });
    if (error.fact.includes('dropout')) return applicable(source, { ...settings, dropout: null });
    throw error;
  }
}

describe('graphs of a training on CUDA have a kernel there for every node', () => {
  for (const precision of precisionNames) {
    // Deeper ones of a family have the same layers.
    const chosen = architectures.filter(({ name }) => !/34|101|152|_b[1-9]|56|110/.test(name));
    for (const { name, minImageSize } of chosen) {
      it(`${name}, ${precision}`, async () => {
        const source = modelBytes(create(name, { imageSize: Math.max(minImageSize, 64), numClasses: 10 }));
        await expectOnDevice(source, applicable(source, { ...everything, precision }));
      });
    }
    for (const name of sharedModels()) {
      it(`${name}, ${precision}`, async () => {
        await expectOnDevice(modelPath(name), applicable(modelPath(name), { ...everything, precision }));
      });
    }
    for (const net of hasGoldens ? nets : []) {
      it(`${net}, ${precision}`, async () => {
        await expectOnDevice(readGolden(net).modelPath, { ...defaultGraphSettings, precision });
      });
    }
  }

  for (const precision of ['float32', 'float16'] as const) {
    it(`with the channels last: strided convolutions, depthwise ones, ${precision}`, async () => {
      for (const name of ['resnet18', 'efficientnet_b0']) {
        const source = modelBytes(create(name, { imageSize: 64, numClasses: 10 }));
        await expectOnDevice(source, { ...defaultGraphSettings, precision }, true);
        const prepared = prepareTraining(source, { settings: defaultGraphSettings });
        const { build, opsets, passes } = await targetOf('cuda', driver);
        const plain = buildGradientGraph(
          prepared,
          { ...defaultGraphSettings, precision },
          { batch, isBatchOpen: false, passes },
          build,
          opsets,
        );
        expect(strangers(plain, false, true)).toMatch(/ConvTranspose ×\d+ .*its weight must be a constant/);
      }
    });
  }

  it.skipIf(!hasGoldens)('every optimizer, for pairs too', () => {
    const { modelPath: path } = readGolden('resnet20-lowrank');
    for (const optimizer of optimizerNames) {
      for (const options of [{}, { momentum: 0, weightDecay: 0 }, { clip: 1, frobeniusDecay: 1e-4 }]) {
        const settings = { ...defaultGraphSettings, optimizer, ...options };
        const prepared = prepareTraining(path, { settings });
        expect(strangers(buildUpdateGraph(prepared, settings), false), optimizer).toBe(undefined);
        prepared.model.file?.close();
      }
    }
  });

  it('sums of gradients and moving averages', () => {
    expect(strangers(buildCombineGraph(1000), false)).toBe(undefined);
  });

  it('without the form of the target, nodes are named', () => {
    const settings: GraphSettings = { ...defaultGraphSettings, precision: 'bfloat16' };
    const prepared = prepareTraining(modelBytes(create('resnet18')), { settings });
    const graph = buildGradientGraph(prepared, settings, { batch, isBatchOpen: false });
    expect(strangers(graph, false)).toMatch(/^22 nodes of the graph run on the CPU in a CUDA session: .*MaxPool ×2/);
    expect(strangers(graph, false)).toMatch(/BatchNormalization ×20 .*: it has no training form on CUDA/);
  });
});
