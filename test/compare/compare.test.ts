import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compare, type ComparePhase } from '../../src/compare/compare.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { calibration } from '../../src/images/calibrate.js';
import { buildModel } from '../support/models.js';
import { temporaryFolder } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const model = join(folder, 'tiny.onnx');
const images = join(folder, 'images');

beforeAll(async () => {
  writeFileSync(model, tinyClassifier());
  await writeTextures(join(images, 'val'), 2, 1);
});

describe('compare', () => {
  const validation = { data: images, settings: { normalization: 'unit' } };

  it.each(['read', 'plan', 'factorize', 'evaluate'] as const)('stops where it is interrupted: %s', async (phase) => {
    const controller = new AbortController();
    const seen: ComparePhase[] = [];
    const running = compare(model, {
      inits: ['spectral', 'lfai'],
      validation,
      signal: controller.signal,
      onProgress: (progress) => {
        expect(controller.signal.aborted).toBe(false);
        seen.push(progress.phase);
        // Behind a fit, so that a converted model is evaluated, not the original.
        if (progress.phase === phase && (phase !== 'evaluate' || seen.includes('factorize'))) controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    expect(seen.at(-1)).toBe(phase);
  });

  it('compares on fresh weights, and with every way to choose ranks', async () => {
    const trained = await compare(model, { inits: ['spectral'] });
    const fresh = await compare(model, { inits: ['spectral'], reinit: true, seed: 2 });
    const errors = ({ layers }: typeof trained): unknown => layers.map(({ fits }) => fits['spectral']?.weightError);
    expect(errors(fresh)).not.toEqual(errors(trained));
    for (const ranks of [{ energy: 0.7 }, { paramsBudget: 0.8 }, { macsBudget: 0.8 }, { stableRank: 1 }]) {
      const { totals, layers } = await compare(model, { inits: ['spectral'], ...ranks });
      expect(layers.length).toBeGreaterThan(0);
      const [[name, budget]] = Object.entries(ranks) as [[string, number]];
      if (name === 'paramsBudget') expect(totals.params.ratio).toBeLessThanOrEqual(budget);
      if (name === 'macsBudget') expect(totals.macs.ratio).toBeLessThanOrEqual(budget);
    }
  });

  it('chooses ranks by latency, where a pair is so much less work that it shows in any weather', async () => {
    const path = join(folder, 'dense.onnx');
    const side = 1024;
    const weight = (name: string) => {
      const data = new Float32Array(side * side);
      fillTruncatedNormal(randomStream(1, name), data, 0, 0.02);
      return { name, dims: [side, side], data };
    };
    const names = ['w0', 'w1', 'w2'];
    writeFileSync(
      path,
      buildModel({
        inputs: [{ name: 'x0', dims: [64, side] }],
        outputs: [{ name: 'x3' }],
        initializers: names.map(weight),
        nodes: names.map((w, i) => ({ op: 'MatMul', name: w, inputs: [`x${i}`, w], outputs: [`x${i + 1}`] })),
      }),
    );
    // All three may be pairs: a budget that only bursts of other work nine times as long could put out of reach.
    const every = { keepFirst: false, keepLast: false };
    const { layers, totals } = await compare(path, { inits: ['spectral'], latencyBudget: 0.9, ...every });
    expect(layers.filter(({ fits }) => fits['spectral'] !== undefined).length).toBeGreaterThan(0);
    expect(totals.macs.ratio).toBeLessThan(1);
  });

  it('reports a layer of zeros without infinities', async () => {
    const path = join(folder, 'zeros.onnx');
    const weight = (name: string, data: Float32Array) => ({ name, dims: [16, 16], data });
    writeFileSync(
      path,
      buildModel({
        inputs: [{ name: 'x', dims: [1, 16] }],
        outputs: [{ name: 'y' }],
        initializers: [
          weight('w0', new Float32Array(256)),
          weight(
            'w1',
            Float32Array.from({ length: 256 }, (_, i) => Math.sin(i * i)),
          ),
        ],
        nodes: [
          { op: 'MatMul', name: 'dead', inputs: ['x', 'w0'], outputs: ['a'] },
          { op: 'Relu', inputs: ['a'], outputs: ['b'] },
          { op: 'MatMul', name: 'alive', inputs: ['b', 'w1'], outputs: ['y'] },
        ],
      }),
    );
    const report = await compare(path, { keepFirst: false, keepLast: false, inits: ['spectral', 'baseline', 'lfai'] });
    const [dead, alive] = report.layers;
    expect(dead!.fits['spectral']).toMatchObject({ weightError: 0, functionError: 0 });
    expect(dead!.fits['baseline']).toMatchObject({ weightError: null, functionError: null });
    expect(dead!.theorem).toMatchObject({ bound: 0, gap: 0, scale: 0 });
    expect(alive!.theorem).toMatchObject({ bound: null, gap: 0, reason: expect.stringContaining('optimum') as string });
    expect(JSON.stringify(report)).not.toMatch(/Infinity|NaN/);
  });

  it('measures what the layers see on images, and fits layers and the whole model by samples', async () => {
    const report = await compare(model, {
      inits: ['spectral', 'baseline', 'whitened', 'lfai-ws-adam', 'fai'],
      rankScale: 0.5,
      calibrate: calibration(join(images, 'val'), { normalization: 'unit', images: 6 }),
      fitSteps: 10,
      fitBatch: 8,
    });
    expect(report.calibration).toMatchObject({ images: 6, layers: 4 });
    for (const { name, failure } of report.inits) expect({ name, failure }).toEqual({ name, failure: null });
    for (const { fits } of report.layers.filter(({ action }) => action === 'factorized')) {
      expect(Object.keys(fits)).toHaveLength(5);
      for (const [name, { dataFunctionError, weightError }] of Object.entries(fits)) {
        expect(dataFunctionError!).toBeGreaterThan(0);
        if (name !== 'baseline') expect(dataFunctionError!).toBeLessThan(fits['baseline']!.dataFunctionError!);
        // The truncated SVD is the best approximation of the weight, to the accuracy of its iteration.
        expect(weightError!).toBeGreaterThanOrEqual(fits['spectral']!.weightError! * (1 - 1e-4));
      }
    }
    const full = await compare(model, {
      inits: ['spectral', 'whitened'],
      rankScale: 1,
      allowBigger: true,
      calibrate: calibration(join(images, 'val'), { normalization: 'unit', images: 6 }),
    });
    for (const { fits } of full.layers.filter(({ action }) => action === 'factorized')) {
      // Factors in float32, products of 72 numbers.
      for (const { dataFunctionError } of Object.values(fits)) expect(dataFunctionError).toBeLessThan(1e-5);
    }
  });

  it('says which initializations there are', async () => {
    await expect(compare(model, { inits: [] })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(compare(model, { inits: ['nothing' as 'lfai'] })).rejects.toThrow(/choose from spectral/);
  });
});
