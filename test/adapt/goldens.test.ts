import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LayerFactors } from '../../src/adapt/factors.js';
import { diagonal } from '../../src/adapt/factors.js';
import { factorsOf } from '../../src/adapt/state.js';
import { readSafetensors } from '../../src/files/safetensors.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { sharedFolder } from '../support/shared.js';
import { openAdaptive, type OpenedAdaptive } from './support.js';

const folder = join(sharedFolder, 'golden', 'dlrt');
const hasGoldens = existsSync(folder);

interface GoldenCase {
  readonly method: 'kls-fixed' | 'kls-adaptive' | 'parallel' | 'augmented' | 'sgd';
  readonly model: string;
  readonly lr: number;
  readonly steps: number;
  readonly theta?: number;
  readonly cap?: number;
  readonly momentum?: number;
  readonly local?: number;
  readonly losses: readonly number[];
  readonly lossAfter: number;
  readonly lossAtol: number;
  readonly ranks: readonly (readonly number[])[];
  readonly tensors: Readonly<Record<string, { readonly atol: number }>>;
}

interface Meta {
  readonly models: Readonly<
    Record<string, { readonly layers: readonly unknown[]; readonly batches: number; readonly batch: number }>
  >;
  readonly cases: Readonly<Record<string, GoldenCase>>;
}

const methods = {
  'kls-fixed': 'kls-fixed',
  'kls-adaptive': 'kls',
  parallel: 'parallel',
  augmented: 'augmented',
} as const;

describe.skipIf(!hasGoldens)('dynamical low-rank training against trajectories of PyTorch', () => {
  const meta = hasGoldens
    ? (JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8')) as Meta)
    : { models: {}, cases: {} };
  let linalg: Linalg;
  beforeAll(async () => {
    linalg = await createLinalg({ driver: await loadDriver(), threads: 2 });
  });
  afterAll(() => linalg.close());

  for (const [key, golden] of Object.entries(meta.cases)) {
    if (golden.method === 'sgd') continue;
    it(key, async () => {
      const name = key.split('/')[1]!;
      const { tensors } = readSafetensors(join(folder, `${golden.model}.safetensors`));
      const floats = (tensor: string): Float32Array => tensors.get(tensor)!.data as Float32Array;
      const matrix = (tensor: string): Matrix => {
        const { shape, data } = tensors.get(tensor)!;
        return { rows: shape[0]!, cols: shape[1]!, data: data as Float32Array };
      };
      const { layers, batches, batch } = meta.models[golden.model]!;
      const tag = name.endsWith('-full') ? 'full' : 'start';
      const most = name.endsWith('-grow') ? 3 : Infinity;
      const start = layers.map((_, at): LayerFactors => {
        const [u, v] = [matrix(`${tag}/${at}/U`), matrix(`${tag}/${at}/V`)];
        const values = floats(`${tag}/${at}/s`).slice(0, most);
        const first = ({ rows, cols, data }: Matrix): Matrix => ({
          rows,
          cols: values.length,
          data: Float32Array.from(
            { length: rows * values.length },
            (_unused, i) => data[Math.floor(i / values.length) * cols + (i % values.length)]!,
          ),
        });
        const right = first(v);
        return {
          left: first(u),
          core: diagonal(values),
          right: {
            rows: right.cols,
            cols: right.rows,
            data: Float32Array.from(
              { length: right.data.length },
              (_unused, i) => right.data[(i % right.rows) * right.cols + Math.floor(i / right.rows)]!,
            ),
          },
          buffers: [],
          average: undefined,
        };
      });
      const adaptive: OpenedAdaptive = await openAdaptive({
        model: join(folder, `${golden.model}-model.onnx`),
        method: methods[golden.method as keyof typeof methods],
        linalg,
        start,
        batch,
        stepsPerEpoch: golden.steps,
        settings: { momentum: golden.momentum ?? 0, weightDecay: 0 },
        coefficientSteps: golden.local ?? 10,
        rule: { tolerance: golden.theta ?? 0, minRank: 2, most: golden.cap ?? Infinity },
      });
      try {
        const { trainer, home, adaptation } = adaptive;
        const size = floats('x').length / batches;
        const labels = tensors.get('y')!.data as Int32Array;
        const batchOf = (step: number) => {
          const at = step % batches;
          return {
            images: floats('x').subarray(at * size, (at + 1) * size),
            labels: BigInt64Array.from({ length: batch }, (_, i) => BigInt(labels[at * batch + i]!)),
          };
        };
        const compare = (tensor: string, actual: ArrayLike<number>): void => {
          const expected = floats(`${name}/${tensor}`);
          const { atol } = golden.tensors[tensor]!;
          let error = 0;
          for (let i = 0; i < expected.length; i++) error = Math.max(error, Math.abs(actual[i]! - expected[i]!));
          expect(error, `${tensor}: ${error}, tolerance ${atol}`).toBeLessThanOrEqual(atol);
        };
        for (let step = 0; step < golden.steps; step++) {
          const now = factorsOf({ state: await trainer.read(), layout: home }, adaptation.layers);
          expect(now.map(({ core }) => Math.min(core.rows, core.cols))).toEqual(golden.ranks[step]);
          await trainer.accumulate(batchOf(step));
          const seen = (await trainer.update(golden.lr))!;
          expect(Math.abs(seen.loss - golden.losses[step]!)).toBeLessThanOrEqual(golden.lossAtol);
          if (step > 0 || golden.method === 'augmented') continue;
          for (const [at, weight] of (await adaptive.weights()).entries()) compare(`W1/${at}`, weight);
        }
        for (const [at, weight] of (await adaptive.weights()).entries()) compare(`W/${at}`, weight);
        const values = await adaptive.others();
        layers.forEach((_, at) => compare(`bias/${at}`, values.get(`layer${at}.bias`)!));
        compare('head/weight', values.get('head.weight')!);
        compare('head/bias', values.get('head.bias')!);
      } finally {
        await adaptive.close();
      }
    });
  }
});
