import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConvertCall } from '../../src/convert/call.js';
import { convert } from '../../src/convert/convert.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { functionApproximation } from '../../src/convert/function-approximation.js';
import { normals } from '../factorize/support/weights.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-test-'));
const model = join(folder, 'model.onnx');
const output = join(folder, 'out.onnx');
beforeAll(() => {
  writeFileSync(model, tinyClassifier());
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function converted(call: Partial<ConvertCall>): Promise<ConvertReport> {
  return convert(model, { output, force: true, rankScale: 0.3, threads: 1, allowBigger: true, ...call });
}

const whole = { init: 'fai', approximate: functionApproximation(), fitSteps: 80, fitBatch: 32 } as const;

/** Mean ‖f̂(x) − f(x)‖² on inputs that no fit has seen. */
async function error(): Promise<number> {
  const driver = await loadDriver();
  const batch = 256;
  const data = Float32Array.from(normals(batch * 3 * 16 * 16, 77, 'images'));
  const feeds = { x: { type: 'float32', dims: [batch, 3, 16, 16], data } as const };
  const outputs: Float32Array[] = [];
  for (const path of [model, output]) {
    const session = await driver.createSession(path, { threads: 1 });
    outputs.push((await session.run(feeds))['y']!.data as Float32Array);
    await session.close();
  }
  return outputs[0]!.reduce((sum, y, i) => sum + (y - outputs[1]![i]!) ** 2, 0) / batch;
}

describe('fai', () => {
  it('comes closer to the outputs of the original than the truncated SVDs that it starts from', async () => {
    const spectral = await converted({ init: 'spectral' });
    const start = await error();
    const fitted = await converted(whole);
    expect(await error()).toBeLessThan(0.7 * start);
    expect(fitted.warnings).toEqual([]);
    const pairs = fitted.layers.filter(({ action }) => action === 'factorized');
    expect(pairs.length).toBeGreaterThan(2);
    for (const { name, init, weightError } of pairs) {
      expect(init).toBe('fai');
      // Nothing is closer to the weights than the truncated SVD: what is reported is measured on the fitted pairs.
      expect(weightError!).toBeGreaterThan(spectral.layers.find((layer) => layer.name === name)!.weightError!);
    }
  });

  it('gives the same bytes for the same seed', async () => {
    await converted({ ...whole, fitSteps: 5 });
    const first = readFileSync(output);
    await converted({ ...whole, fitSteps: 5 });
    expect(readFileSync(output).equals(first)).toBe(true);
    await converted({ ...whole, fitSteps: 5, seed: 1 });
    expect(readFileSync(output).equals(first)).toBe(false);
  });

  it('keeps the truncated SVDs where Adam leaves the finite numbers, and says so', async () => {
    const spectral = await converted({ init: 'spectral' });
    const { layers, warnings } = await converted({ ...whole, fitLr: 1e30 });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^fai left the finite numbers at step \d+ of 80: the truncated SVDs are kept/);
    layers.forEach(({ weightError }, i) => expect(weightError).toBe(spectral.layers[i]!.weightError));
  });

  it('ends when it is interrupted, and writes nothing', async () => {
    rmSync(output, { force: true });
    const interruption = new AbortController();
    const onProgress: ConvertCall['onProgress'] = ({ phase, done }) => {
      if (phase === 'approximate' && done === 2) interruption.abort();
    };
    await failureOf('ABORTED', () => converted({ ...whole, signal: interruption.signal, onProgress }));
    expect(() => readFileSync(output)).toThrow(/ENOENT/);
  });

  it('is how an initialization of whole models is fitted where nothing else is given', async () => {
    const { approximate: _, ...alone } = whole;
    await converted(whole);
    const bytes = readFileSync(output);
    await converted(alone);
    expect(readFileSync(output).equals(bytes)).toBe(true);
  });
});
