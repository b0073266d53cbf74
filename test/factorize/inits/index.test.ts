import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { functionRisk } from '../../../src/factorize/function-error.js';
import { baseline } from '../../../src/factorize/inits/baseline.js';
import { initNames, inits } from '../../../src/factorize/inits/index.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { layerData, patches } from '../support/layer-data.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight } from '../support/weights.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await testLinalg();
});
afterAll(() => linalg.close());

const problemOf = (rows: number, cols: number, rank: number): InitProblem => ({
  weight: freshWeight(rows, cols, 1),
  rank,
  rowsPerNeuron: 3,
  activation: { kind: 'Relu' },
  seed: 1,
  linalg,
});

describe('the table of initializations', () => {
  it('has a line for every file, under its own name', () => {
    const files = readdirSync(new URL('../../../src/factorize/inits', import.meta.url)).filter((file) =>
      file.endsWith('.ts'),
    );
    expect([...initNames].sort()).toEqual(
      files
        .map((file) => file.replace(/\.ts$/, ''))
        .filter((file) => file !== 'index')
        .sort(),
    );
    for (const name of initNames) {
      expect(inits[name].name).toBe(name);
      expect(inits[name].summary).toMatch(/^[^\n]{10,}$/);
    }
  });

  it.each(initNames)('%s gives a pair of the right shape', async (name) => {
    for (const [rows, cols, rank] of [
      [12, 7, 3],
      [6, 20, 1],
      [3, 1, 1],
    ] as const) {
      const problem = problemOf(rows, cols, rank);
      const inputs = patches(40, 3 * cols, 1);
      const data = layerData(problem.weight, 3, inputs, problem.activation);
      const { left, right } = await inits[name].fit({ ...problem, data });
      expect([left.rows, left.cols, left.data.length]).toEqual([rows, rank, rows * rank]);
      expect([right.rows, right.cols, right.data.length]).toEqual([rank, cols, rank * cols]);
    }
  });
});

describe('baseline', () => {
  it('draws both factors from the distribution of weights', async () => {
    const problem = problemOf(300, 200, 50);
    const { left, right } = await baseline.fit(problem);
    for (const [data, fanIn] of [
      [left.data, 50 * 3],
      [right.data, 200],
    ] as const) {
      const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
      const deviation = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
      // 10,000 numbers or more: four standard errors, 4/√10,000 and 4/√20,000.
      expect(Math.abs(mean * Math.sqrt(fanIn))).toBeLessThan(0.04);
      expect(Math.abs(deviation * Math.sqrt(fanIn) - 1)).toBeLessThan(0.03);
      expect(Math.max(...data.map(Math.abs)) * Math.sqrt(fanIn)).toBeLessThan(2 / 0.8796);
    }
  });

  it('depends on shapes and the seed alone', async () => {
    const problem = problemOf(12, 8, 2);
    const pair = await baseline.fit(problem);
    expect(await baseline.fit({ ...problem, weight: freshWeight(12, 8, 99) })).toEqual(pair);
    expect(await baseline.fit({ ...problem, seed: 2 })).not.toEqual(pair);
  });

  it('loses more than the mean of the output is worth', async () => {
    // ALGORITHMS E.5: 1.554 to 1.570 of Σ|w|²/2 at 256 × 1152.
    const problem = { ...problemOf(256, 1152, 26), rowsPerNeuron: 1 };
    const { risk, scale } = await functionRisk(problem, await baseline.fit(problem));
    expect(Math.abs(risk / scale / 1.56 - 1)).toBeLessThan(0.03);
  });
});
