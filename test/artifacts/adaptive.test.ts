import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { augment } from '../../src/adapt/augment.js';
import { axesOf, coreKernel, kernelsOf, matricesOf } from '../../src/adapt/cores.js';
import { diagonal } from '../../src/adapt/factors.js';
import { type AdaptedLayer, adaptedLayers } from '../../src/adapt/layers.js';
import { spectrumOf, rankWithin, tailsOf } from '../../src/adapt/spectrum.js';
import { copyState, factorsOf, gradientsOf, putFactors } from '../../src/adapt/state.js';
import { truncate } from '../../src/adapt/truncate.js';
import { writeArtifacts } from '../../src/artifacts/artifacts.js';
import { writeBack } from '../../src/artifacts/write-back.js';
import type { AdaptedTensor, ArtifactsManifest } from '../../src/contracts/artifacts.js';
import { encodeSafetensors, readSafetensors, type SafetensorsEntry } from '../../src/files/safetensors.js';
import { readModel } from '../../src/graph/read.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { inferShapes } from '../../src/ops/infer.js';
import { readPairs } from '../../src/rewrite/pairs.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import type { LaidOut } from '../../src/step/laid-out.js';
import { blankState } from '../../src/step/vectors.js';
import { openAdaptive, type OpenedAdaptive, productOf } from '../adapt/support.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { python } from '../support/python.js';
import { faultOf } from '../support/schemas.js';
import { sharedFolder } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const tiny = at('tiny.onnx');
const step = at('step');
const driver = await loadDriver();
const [batch, rate, steps] = [6, 0.02, 6] as const;
const rule = { tolerance: 0.65, minRank: 2, most: 3 };
let manifest: ArtifactsManifest;
let linalg: Linalg;

beforeAll(async () => {
  linalg = await createLinalg({ driver, threads: 1 });
  writeFileSync(tiny, tinyClassifier());
  manifest = await writeArtifacts(tiny, step, {
    settings: { optimizer: 'adamw', momentum: 0, weightDecay: 0.01 },
    adapt: {
      adaptRanks: 'augmented',
      ...{ tolerance: rule.tolerance, maxRank: rule.most, coefficientSteps: 2, keepFirst: false },
    },
  });
});
afterAll(() => linalg.close());

/** A tensor with its axes in another order. */
function permuted(data: Float32Array, shape: readonly number[], axes: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  const dims = axes.map((axis) => shape[axis]!);
  return Float32Array.from(data, (_, index) => {
    let [rest, from] = [index, 0];
    for (let i = dims.length - 1; i >= 0; i--) {
      from += (rest % dims[i]!) * strides[axes[i]!]!;
      rest = Math.floor(rest / dims[i]!);
    }
    return data[from]!;
  });
}

/** Largest difference, against the largest number. */
function distance(own: Float32Array | Float64Array, wanted: Float32Array | Float64Array): number {
  const [a, b] = [Array.from(own), Array.from(wanted)];
  expect(a.length).toBe(b.length);
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0) / largest;
}

/** The low-rank layers of a file. */
function layersOf(path: string): AdaptedLayer[] {
  const model = readModel(path);
  try {
    return adaptedLayers(model, inferShapes(model));
  } finally {
    model.file?.close();
  }
}

function repeated<T extends Float32Array | Int32Array>(data: T, times: number): T {
  const all = data.constructor as new (length: number) => T;
  const result = new all(data.length * times);
  for (let i = 0; i < times; i++) result.set(data, i * data.length);
  return result;
}

const float32 = (data: Float32Array, dims: readonly number[] = [data.length]): RuntimeTensor => ({
  ...{ type: 'float32', dims, data },
});

function batchOf(index: number): { readonly images: Float32Array; readonly labels: BigInt64Array } {
  const images = Float32Array.from(
    { length: batch * 3 * 256 },
    (_, i) => (((i + 1 + 5000 * index) * 2654435761) % 2 ** 32) / 2 ** 31 - 1,
  );
  return { images, labels: BigInt64Array.from({ length: batch }, (_, i) => BigInt((i + index) % 3)) };
}

/** Vectors as `initial.safetensors` has them. */
function initialOf(path: string): LaidOut {
  const { tensors } = readSafetensors(join(path, 'initial.safetensors'));
  const vector = (name: string): Float32Array => (tensors.get(name)!.data as Float32Array).slice();
  const [parameters, statistics, state] = [vector('parameters'), vector('statistics'), vector('state')];
  return {
    state: { parameters, statistics, state, ema: new Float32Array(0) },
    layout: {
      parameters: manifest.parameters,
      statistics: manifest.statistics,
      optimizer: manifest.settings.optimizer,
    },
  };
}

/** Losses and ranks of a program that drives the files. */
async function driven(layers: readonly AdaptedLayer[]) {
  const adaptation = manifest.adaptation!;
  const { gradient, update } = manifest;
  const [gradients, updates, bases] = await Promise.all(
    [gradient.file, update.file, adaptation.bases.file].map((file) =>
      driver.createSession(readFileSync(join(step, file)), { threads: 1 }),
    ),
  );
  const seenBy = async (
    session: typeof gradients,
    part: ArtifactsManifest['gradient'],
    { state }: LaidOut,
    i: number,
  ) => {
    const { images, labels } = batchOf(i);
    const given = await session!.run({
      [part.inputs.parameters]: float32(state.parameters),
      [part.inputs.statistics]: float32(state.statistics),
      [part.inputs.images]: float32(images, [batch, ...manifest.imageShape]),
      [part.inputs.labels!]: { type: 'int64', dims: [batch], data: labels },
    });
    const floats = (name: keyof typeof part.outputs) => given[part.outputs[name]]!.data as Float32Array;
    return { loss: floats('loss')[0]!, gradient: floats('gradient'), statistics: floats('statistics') };
  };
  const now = initialOf(step);
  const losses: number[] = [];
  const ranks: number[][] = [];
  for (let i = 0; i < steps; i++) {
    if (i % 3 === 0) {
      const { parameters, statistics } = adaptation.bases;
      const layout = { ...now.layout, parameters, statistics };
      const narrow = { state: blankState(layout, 0, false), layout };
      copyState(now, narrow, layers);
      const seen = await seenBy(bases, adaptation.bases, narrow, i);
      losses.push(seen.loss);
      const slope = { state: { ...narrow.state, parameters: seen.gradient }, layout };
      const factors = factorsOf(now, layers);
      const gradientsNow = gradientsOf({ ...slope, layout: { ...layout, statistics: [] } }, layers, factors);
      putFactors(now, layers, await Promise.all(factors.map((own, k) => augment(linalg, own, gradientsNow[k]!))));
    } else {
      const seen = await seenBy(gradients, gradient, now, i);
      losses.push(seen.loss);
      const moved = await updates!.run({
        [update.inputs.parameters]: float32(now.state.parameters),
        [update.inputs.gradient]: float32(seen.gradient),
        [update.inputs.state]: float32(now.state.state),
        [update.inputs.learningRate]: float32(Float32Array.of(rate), []),
        [update.inputs.step]: { type: 'int64', dims: [], data: BigInt64Array.of(BigInt(i + 1)) },
      });
      const own = (name: 'parameters' | 'state') => moved[update.outputs[name]]!.data as Float32Array;
      now.state.parameters.set(own('parameters'));
      now.state.state.set(own('state'));
      now.state.statistics.set(seen.statistics);
    }
    if (i % 3 === 2) {
      const cut = await Promise.all(
        factorsOf(now, layers).map(async (own, k) => {
          const { minRank, maxRank } = adaptation.layers[k]!;
          const spectrum = await spectrumOf(linalg, own.core, 'layer');
          const rank = Math.max(minRank, rankWithin(tailsOf(spectrum.squares), adaptation.tolerance));
          return truncate(linalg, own, spectrum, Math.min(rank, maxRank), adaptation.buffers);
        }),
      );
      putFactors(now, layers, cut);
    }
    ranks.push(factorsOf(now, layers).map(({ core }) => core.rows));
  }
  await Promise.all([gradients!.close(), updates!.close(), bases!.close()]);
  return { losses, ranks, now };
}

describe('the step of layers whose ranks are found', () => {
  it('is that of lowrank train --adapt-ranks, as files: its losses, its ranks, its weights', async () => {
    expect(faultOf(manifest)).toBe(undefined);
    expect(existsSync(join(step, 'pairs.onnx'))).toBe(true);
    const adaptation = manifest.adaptation!;
    expect(adaptation).toMatchObject({ method: 'augmented', tolerance: 0.65, coefficientSteps: 2 });
    expect(adaptation.buffers).toEqual(['first', 'second']);
    expect(adaptation.layers.map(({ startRank, maxRank, capacity }) => [startRank, maxRank, capacity])).toEqual(
      adaptation.layers.map(() => [3, 3, 6]),
    );
    const layers = layersOf(join(step, 'pairs.onnx'));
    const own: OpenedAdaptive = await openAdaptive({
      model: tiny,
      method: 'augmented',
      ...{ linalg, batch, stepsPerEpoch: steps, coefficientSteps: 2, rule },
      start: factorsOf(initialOf(step), layers).map((factors) => Object.assign(factors, { buffers: [] })),
      settings: { optimizer: 'adamw', momentum: 0, weightDecay: 0.01 },
    });
    try {
      expect(own.adaptation.layers.map(({ name }) => name)).toEqual(adaptation.layers.map(({ name }) => name));
      const { losses, ranks, now } = await driven(own.adaptation.layers);
      for (let i = 0; i < steps; i++) {
        await own.trainer.accumulate(batchOf(i));
        const { loss } = (await own.trainer.update(rate))!;
        // The same formulas in another layout: sums of some thousand float32 terms in another order.
        expect(Math.abs(losses[i]! - loss), `step ${i}`).toBeLessThan(1e-5);
        const state = { state: await own.trainer.read(), layout: own.home };
        expect(ranks[i], `step ${i}`).toEqual(factorsOf(state, own.adaptation.layers).map(({ core }) => core.rows));
      }
      // Adam's steps are as long where a gradient is all rounding.
      const weights = await own.weights();
      factorsOf(now, own.adaptation.layers).forEach((factors, k) => {
        expect(distance(productOf(factors), weights[k]!)).toBeLessThan(1e-2);
      });
      expect(new Set(ranks.at(-1))).toEqual(new Set([rule.minRank]));
    } finally {
      await own.close();
    }
  });

  it('says in what order of its axes each tensor is a matrix', () => {
    const geometry = { out: 4, in: 3, kernel: [3, 2] } as unknown as AdaptedLayer['geometry'];
    const product = { out: 4, in: 5, kernel: [1, 1] } as unknown as AdaptedLayer['geometry'];
    const cases = [
      { form: 'conv', scheme: 'channel', geometry, rows: 4, cols: 18, transB: 0 },
      { form: 'conv', scheme: 'spatial', geometry, rows: 12, cols: 6, transB: 0 },
      { form: 'gemm', scheme: 'dense', geometry: product, rows: 4, cols: 5, transB: 0 },
      { form: 'gemm', scheme: 'dense', geometry: product, rows: 4, cols: 5, transB: 1 },
      { form: 'matmul-left', scheme: 'dense', geometry: product, rows: 4, cols: 5, transB: 0 },
      { form: 'matmul-right', scheme: 'dense', geometry: product, rows: 4, cols: 5, transB: 0 },
    ] as const;
    for (const layer of cases as unknown as readonly AdaptedLayer[]) {
      const numbered = (rows: number, cols: number): Matrix => ({
        ...{ rows, cols, data: Float32Array.from({ length: rows * cols }, (_, i) => i) },
      });
      const [left, core, right] = [numbered(layer.rows, 3), numbered(3, 3), numbered(3, layer.cols)];
      const axes = axesOf(layer);
      const kernels = { ...kernelsOf(layer, right, left), core: coreKernel(layer, core) };
      for (const [part, matrix] of Object.entries({ left, core, right })) {
        const { dims, data } = kernels[part as 'left'];
        expect(permuted(data, dims, axes[part as 'left']), `${layer.form} ${layer.scheme} ${part}`).toEqual(
          matrix.data,
        );
      }
    }
  });

  it('has every tensor in the vectors of both graphs, and room that is all zeros', () => {
    const { state } = initialOf(step);
    const { layers, bases } = manifest.adaptation!;
    const slots = { ...manifest, ...{ bases } };
    for (const { right, core, left, capacity, rows, cols } of layers) {
      const matrices = ([left, core, right] as AdaptedTensor[]).map(({ name, axes, coefficients, bases: narrow }) => {
        expect(slots[coefficients.vector].find((slot) => slot.name === name)).toMatchObject({
          ...{ offset: coefficients.offset, size: coefficients.size, shape: coefficients.shape },
        });
        expect(bases[narrow.vector].find((slot) => slot.name === name)).toMatchObject({
          ...{ offset: narrow.offset, size: narrow.size, shape: narrow.shape },
        });
        const flat = state[coefficients.vector].slice(coefficients.offset, coefficients.offset + coefficients.size);
        return permuted(flat, coefficients.shape, axes);
      });
      expect(matrices.map(({ length }) => length)).toEqual([rows * capacity, capacity ** 2, capacity * cols]);
      expect(matrices[1]!.every((value, i) => (value !== 0) === (i % (capacity + 1) === 0 && i < 3 * capacity))).toBe(
        true,
      );
      expect(matrices[2]!.subarray(3 * cols).every((value) => value === 0)).toBe(true);
    }
  });

  it('asks for a method that is published, for labels, and for a tolerance', () => {
    const fails = (pattern: RegExp, ...words: string[]): void =>
      expectFailure(run('artifacts', tiny, '-o', at('bad'), ...words), 'USAGE', pattern, 2);
    fails(
      /the method whose step is published is augmented; --adapt-ranks kls; give --adapt-ranks augmented/,
      ...['--adapt-ranks', 'kls'],
    );
    fails(/not towards a teacher; .*give one of them/, '--adapt-ranks', 'augmented', '--teacher', tiny);
    fails(/--tolerance; give --adapt-ranks too/, '--tolerance', '0.1');
    fails(/give it as --weight-decay/, '--adapt-ranks', 'augmented', '--frobenius-decay', '0.1');
    expect(existsSync(at('bad'))).toBe(false);
  });
});

describe('trained layers back in a model', () => {
  const saved = (name: string, state: LaidOut['state'], of = step): string => {
    const path = at(name);
    const { parameters, statistics } = state;
    const vectors = Object.entries({ parameters, statistics }).map(([key, data]): [string, SafetensorsEntry] => [
      key,
      { shape: [data.length], data },
    ]);
    writeFileSync(path, encodeSafetensors(new Map(vectors), { 'lowrank.artifacts': of }));
    return path;
  };

  it('are pairs of the ranks that were found, which compute what the eval graph does', async () => {
    const layers = layersOf(join(step, 'pairs.onnx'));
    const { now } = await driven(layers);
    const output = at('back.onnx');
    const outcome = run('artifacts', '--write-back', saved('trained.safetensors', now.state), '-o', output, '--json');
    expect(outcome.code, outcome.stderr).toBe(0);
    const report = JSON.parse(outcome.stdout) as Awaited<ReturnType<typeof writeBack>>;
    expect(faultOf(report)).toBe(undefined);
    const ranks = factorsOf(now, layers).map(({ core }) => core.rows);
    expect(report.ranks!.map(({ rank }) => rank)).toEqual(ranks);
    expect(report.warnings).toEqual([]);
    expect(layersOf(output).map(({ rank }) => rank)).toEqual(ranks);
    const { images, labels } = batchOf(9);
    const [written, evaluation] = await Promise.all(
      [output, join(step, manifest.eval.file)].map((path) => driver.createSession(readFileSync(path), { threads: 1 })),
    );
    const { y } = await written!.run({ x: float32(images, [batch, 3, 16, 16]) });
    const { inputs, outputs } = manifest.eval;
    const seen = await evaluation!.run({
      [inputs.parameters]: float32(now.state.parameters),
      [inputs.statistics]: float32(now.state.statistics),
      [inputs.images]: float32(images, [batch, 3, 16, 16]),
      [inputs.labels!]: { type: 'int64', dims: [batch], data: labels },
    });
    expect(distance(y!.data as Float32Array, seen[outputs.logits]!.data as Float32Array)).toBeLessThan(1e-5);
    await Promise.all([written!.close(), evaluation!.close()]);
  });

  it('are in one piece where a pair would have as many parameters', async () => {
    const wide = at('wide');
    const { eval: evaluated } = await writeArtifacts(tiny, wide, {
      settings: { optimizer: 'sgd' },
      adapt: { adaptRanks: 'augmented', tolerance: 0.1, startRank: 8, maxRank: 8, keepFirst: false },
    });
    const layers = layersOf(join(wide, 'pairs.onnx'));
    const { state } = initialOf(wide);
    state.parameters[0] = state.parameters[0]! + 0.01;
    const output = at('wide.onnx');
    const report = await writeBack(saved('wide.safetensors', state, wide), { output });
    expect(faultOf(report)).toBe(undefined);
    const whole = layers.filter(({ rank, wholeFrom }) => rank >= wholeFrom).map(({ name }) => name);
    expect(whole.length).toBeGreaterThan(0);
    expect(report.ranks!.filter(({ inOnePiece }) => inOnePiece).map(({ name }) => name)).toEqual(whole);
    const names = layers.map(({ name }) => name);
    expect(readPairs(readModel(output)).map(({ name }) => name)).toEqual(names.filter((name) => !whole.includes(name)));
    const { images, labels } = batchOf(9);
    const [written, evaluation] = await Promise.all(
      [output, join(wide, evaluated.file)].map((path) => driver.createSession(readFileSync(path), { threads: 1 })),
    );
    const { y } = await written!.run({ x: float32(images, [batch, 3, 16, 16]) });
    const seen = await evaluation!.run({
      [evaluated.inputs.parameters]: float32(state.parameters),
      [evaluated.inputs.statistics]: float32(state.statistics),
      [evaluated.inputs.images]: float32(images, [batch, 3, 16, 16]),
      [evaluated.inputs.labels!]: { type: 'int64', dims: [batch], data: labels },
    });
    expect(distance(y!.data as Float32Array, seen[evaluated.outputs.logits]!.data as Float32Array)).toBeLessThan(1e-5);
    await Promise.all([written!.close(), evaluation!.close()]);
  });

  it('say so where nothing was trained, and are refused without bases', async () => {
    const { state } = initialOf(step);
    const report = await writeBack(saved('same.safetensors', state), { output: at('same.onnx') });
    expect(report.warnings).toEqual(['the trained tensors are those of the model: nothing was trained']);
    const { coefficients } = manifest.adaptation!.layers[0]!.left;
    state.statistics.fill(0, coefficients.offset, coefficients.offset + coefficients.size);
    const broken = run('artifacts', '--write-back', saved('zeros.safetensors', state), '-o', at('zeros.onnx'));
    expectFailure(broken, 'NUMERIC', /the bases of layer '.*' are all zeros/);
  });
});

const goldens = join(sharedFolder, 'golden', 'dlrt');

describe.skipIf(!existsSync(goldens) || python === undefined)(
  'examples/train_adaptive.py (needs a Python with onnxruntime: LOWRANK_PYTHON)',
  () => {
    interface GoldenCase {
      readonly lr: number;
      readonly theta: number;
      readonly momentum: number;
      readonly local: number;
      readonly steps: number;
      readonly losses: readonly number[];
      readonly lossAtol: number;
      readonly ranks: readonly (readonly number[])[];
      readonly tensors: Readonly<Record<string, { readonly atol: number }>>;
    }
    it.each(['mlp', 'lenet'])('follows the trajectory of PyTorch: %s', async (name) => {
      const { cases } = JSON.parse(readFileSync(join(goldens, 'meta.json'), 'utf8')) as {
        readonly cases: Readonly<Record<string, GoldenCase>>;
      };
      const golden = cases[`${name}/augmented`]!;
      const { tensors } = readSafetensors(join(goldens, `${name}.safetensors`));
      const path = at(name);
      await writeArtifacts(join(goldens, `${name}-model.onnx`), path, {
        settings: { momentum: golden.momentum, weightDecay: 0 },
        adapt: { adaptRanks: 'augmented', tolerance: golden.theta, coefficientSteps: golden.local, keepFirst: false },
      });
      const [x, y] = [tensors.get('x')!, tensors.get('y')!];
      const [batches, size, ...shape] = x.shape as [number, number, ...number[]];
      const turns = golden.steps / batches;
      const all = new Map<string, SafetensorsEntry>([
        ['x', { shape: [turns * batches * size, ...shape], data: repeated(x.data as Float32Array, turns) }],
        ['y', { shape: [turns * batches * size], data: repeated(y.data as Int32Array, turns) }],
      ]);
      writeFileSync(at(`${name}.data.safetensors`), encodeSafetensors(all));
      const trained = at(`${name}.trained.safetensors`);
      const words = ['--batch-size', String(size), '--lr', String(golden.lr), '--constant', '--in-order'];
      const { status, stdout, stderr } = spawnSync(
        python!,
        [
          ...['examples/train_adaptive.py', path, '--data', at(`${name}.data.safetensors`), ...words],
          ...['--momentum-of-layers', '--verbose', '-o', trained],
        ],
        { encoding: 'utf8' },
      );
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const told = [...stdout.matchAll(/^update \d+: loss ([\d.e-]+), ranks ([\d ]+)$/gm)];
      expect(told.map(([, , ranks]) => ranks!.split(' ').map(Number))).toEqual(golden.ranks.slice(1));
      told.forEach(([, loss], i) => {
        expect(Math.abs(Number(loss) - golden.losses[i]!)).toBeLessThanOrEqual(golden.lossAtol);
      });
      await writeBack(trained, { output: at(`${name}.onnx`) });
      const layers = layersOf(at(`${name}.onnx`));
      expect(layers.map(({ rank }) => rank)).toEqual(golden.ranks.at(-1));
      const { graph } = readModel(at(`${name}.onnx`));
      layers.forEach((layer, k) => {
        const [first, last] = [layer.right, layer.left].map((tensor) => {
          const stored = graph.value(tensor)!.tensor!;
          return { dims: stored.dims, data: stored.toFloat32() };
        });
        const { right, left } = matricesOf(layer, first!, last!);
        const core = diagonal(new Float32Array(left.cols).fill(1));
        const expected = tensors.get(`augmented/W/${k}`)!.data as Float32Array;
        const errors = productOf({ left, core, right }).map((value, i) => Math.abs(value - expected[i]!));
        expect(Math.max(...errors)).toBeLessThanOrEqual(golden.tensors[`W/${k}`]!.atol);
      });
    });
  },
);
