import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convert } from '../../src/convert/convert.js';
import { convert as convertAsUsual, usualCalibration } from '../../src/convert/usual-calls.js';
import { inspect } from '../../src/inspect/inspect.js';
import { merge } from '../../src/merge/merge.js';
import { bytesOf, classifier, floats } from '../passes/support/spelled-out.js';
import { temporaryFolder } from '../support/command.js';
import type { TestInitializer } from '../support/models.js';

const folder = temporaryFolder();
const ints = (name: string, ...values: number[]): TestInitializer => ({
  name,
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

/** An image of 6 × 6 as 9 tokens of 16 numbers, onnxruntime's Attention of them, and a classifier of their mean. */
function written(name: string, past: readonly string[] = []): string {
  const bytes = bytesOf(
    classifier(
      [
        { op: 'Conv', inputs: ['x', 'patches'], outputs: ['c'], attributes: { strides: [2, 2] } },
        { op: 'Reshape', inputs: ['c', 'tokens'], outputs: ['r'] },
        { op: 'Transpose', inputs: ['r'], outputs: ['t'], attributes: { perm: [0, 2, 1] } },
        {
          ...{
            op: 'Attention',
            domain: 'com.microsoft',
            inputs: ['t', 'w', 'b', ...past],
            outputs: ['a'],
            name: 'attn',
          },
          attributes: { num_heads: 2 },
        },
        { op: 'ReduceMean', inputs: ['a'], outputs: ['m'], attributes: { axes: [1], keepdims: 0 } },
        { op: 'Gemm', inputs: ['m', 'h'], outputs: ['y'] },
      ],
      [
        ...[floats('patches', [16, 3, 2, 2]), floats('w', [16, 48]), floats('b', [48]), floats('h', [16, 4])],
        ...[ints('tokens', 0, 16, -1), floats('past', [2, 1, 2, 3, 8])],
      ],
    ),
  );
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const whole = { init: 'spectral', allowBigger: true, keepFirst: false, keepLast: false } as const;

describe('the weight inside of Attention of onnxruntime', () => {
  it('is a layer: inspected, factorized exactly at full rank, and merged back', async () => {
    const path = written('attention.onnx');
    const seen = await inspect(path);
    expect(seen.layers.map(({ name, in: inputs, out }) => [name, inputs, out])).toContainEqual(['attn.qkv.0', 16, 48]);
    const output = join(folder, 'pairs.onnx');
    const report = await convert(path, { ...whole, output, rankScale: 1 });
    expect(report.layers.find(({ name }) => name === 'attn.qkv.0')).toMatchObject({ action: 'factorized', rank: 16 });
    expect(report.verify!.relativeDiff).toBeLessThan(1e-5);
    expect(report.warnings).toEqual([
      '1 × Attention of onnxruntime became a product, which is a layer, and MultiHeadAttention',
    ]);
    const merged = join(folder, 'merged.onnx');
    await merge(output, { output: merged, all: true });
    const again = await inspect(merged);
    expect(again.layers.map(({ rank }) => rank)).toEqual([null, null, null]);
  });

  it('has its rank chosen by gradients', async () => {
    const report = await convertAsUsual(written('ranked.onnx'), {
      ...{ macsBudget: 0.7, keepFirst: false, threads: 1, output: join(folder, 'ranked.lowrank.onnx') },
      calibrate: usualCalibration({}, { images: 16 }),
    });
    expect(report.sensitivity).toMatchObject({ by: 'gradients' });
    expect(report.layers.find(({ name }) => name === 'attn.qkv.0')!.sensitivity!.change).toBeGreaterThan(0);
  });

  it('stays there where it goes on from past keys, and the report says so', async () => {
    const { layers, warnings } = await inspect(written('past.onnx', ['', 'past']));
    expect(layers.find(({ name }) => name === 'attn')).toMatchObject({ in: 16, out: 48 });
    expect(warnings).toContainEqual("the weights in Attention 'attn' stay there: it goes on from past keys");
  });
});
