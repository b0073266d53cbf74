import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { int, string } from '../../src/graph/attributes.js';
import { randomOf } from '../support/mutate.js';
import { checkGradient } from './support/check-gradient.js';

interface Golden {
  readonly mode: string;
  readonly padding: string;
  readonly aligned: boolean;
  readonly sizes: readonly number[];
  readonly x: readonly number[];
  readonly grid: readonly number[];
  readonly gridDims: readonly number[];
  readonly dx: readonly number[];
  readonly dgrid: readonly number[];
}

const goldens = JSON.parse(
  readFileSync(new URL('golden/grid-sample.json', import.meta.url), 'utf8'),
) as readonly Golden[];

/** Names since ai.onnx 20. */
const renamed: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic', nearest: 'nearest' };

const attributesOf = (
  { mode, padding, aligned }: Pick<Golden, 'mode' | 'padding' | 'aligned'>,
  opset: number,
): Parameters<typeof checkGradient>[0]['attributes'] & object => ({
  mode: string(opset < 20 ? mode : renamed[mode]!),
  padding_mode: string(padding),
  align_corners: int(aligned ? 1 : 0),
});

/** Places [2, points, axes] between elements, within and beyond, further from where it bends than the differences move. */
function betweenElements(
  sizes: readonly number[],
  aligned: boolean,
  isNearest: boolean,
  seed: number,
): { values: number[]; dims: number[] } {
  const random = randomOf(seed);
  const points = 6;
  const axes = sizes.toReversed();
  const values = Array.from({ length: 2 * points }).flatMap(() =>
    axes.map((size) => {
      const offset = 0.15 + (0.7 * random(1000)) / 1000 - (isNearest ? 0.5 : 0);
      const place = random(3 * size) - size + offset;
      return aligned ? (2 * place) / (size - 1) - 1 : (2 * place + 1) / size - 1;
    }),
  );
  return { values, dims: [2, ...axes.map((_, i) => (i === 0 ? points : 1)), axes.length] };
}

describe('gradient of GridSample', () => {
  it.each(goldens)('is that of PyTorch: $sizes, $mode, $padding, aligned $aligned', async (golden) => {
    const { sizes, x, grid, gridDims, dx, dgrid, mode } = golden;
    const opset = sizes.length === 3 ? 20 : 16;
    const isNearest = mode === 'nearest';
    await checkGradient({
      opType: 'GridSample',
      opset,
      inputs: [
        { values: x, dims: [1, 2, ...sizes] },
        { values: grid, dims: gridDims, fixed: isNearest },
      ],
      attributes: attributesOf(golden, opset),
      expected: [dx, isNearest ? undefined : dgrid],
    });
  });

  it.each(goldens)('is that of differences: $sizes, $mode, $padding, aligned $aligned', async (golden) => {
    const { sizes, mode, aligned } = golden;
    const isNearest = mode === 'nearest';
    const larger = sizes.map((size, i) => size + i + 1);
    await checkGradient({
      opType: 'GridSample',
      opset: 22,
      inputs: [{ dims: [2, 3, ...larger] }, { ...betweenElements(larger, aligned, isNearest, 7), fixed: isNearest }],
      attributes: attributesOf(golden, 22),
      // A place moves by half a size for a step of 1 of the grid.
      step: 5e-3,
      tolerance: isNearest || mode === 'bilinear' ? 2e-3 : 5e-3,
    });
  });

  it('has no gradient of what no runtime computes', async () => {
    const sampled = (mode: string, padding: string, sizes: readonly number[]): Promise<void> =>
      checkGradient({
        opType: 'GridSample',
        opset: 20,
        inputs: [{ dims: [1, 2, ...sizes] }, { dims: [1, ...sizes, sizes.length] }],
        attributes: { mode: string(mode), padding_mode: string(padding) },
      });
    await expect(sampled('cubic', 'zeros', [2, 3, 4])).rejects.toThrow(
      /GridSample in mode 'cubic' of 3 axes has no gradient: no runtime computes it/,
    );
    await expect(sampled('area', 'zeros', [3, 4])).rejects.toThrow(/GridSample in mode 'area' has no gradient/);
    await expect(sampled('linear', 'wrap', [3, 4])).rejects.toThrow(/padding_mode 'wrap' has no gradient/);
  });
});
