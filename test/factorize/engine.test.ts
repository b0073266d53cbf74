import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startEngine } from '../../src/factorize/engine.js';
import { inits } from '../../src/factorize/inits/index.js';
import type { InitProblem } from '../../src/factorize/types.js';
import type { FactorPair } from '../../src/rewrite/types.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { isLoadable } from '../../src/runtime/loader.js';
import { failureOf } from '../support/errors.js';
import { posingAsCuda } from '../support/posing.js';
import { freshWeight } from './support/weights.js';

const engine = 'ort';
const threads = 1;

describe('onnxruntime as the engine', () => {
  it('on the CPU says so', async () => {
    const driver = await loadDriver();
    const started = await startEngine({ engine, driver, device: 'cpu', threads });
    const report = { name: 'ort', package: 'onnxruntime-node', version: driver.version, backend: 'cpu', device: 'cpu' };
    expect(started).toMatchObject({ report, warnings: [] });
    await started.linalg.close();
  });

  it('of another library than the one in the npm package says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lowrank-library-'));
    const { library } = await loadDriver({ driver: 'c-api' });
    copyFileSync(library, join(folder, basename(library)));
    try {
      const driver = await loadDriver({ driver: 'c-api', library: folder });
      const { linalg, report } = await startEngine({ engine, driver, device: 'cpu', threads });
      expect(report.package).toBe('onnxruntime');
      await linalg.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('on CUDA where there is none fails before anything is fitted', async ({ skip }) => {
    if (await isLoadable('libcuda.so.1')) skip('this machine has CUDA');
    const driver = await loadDriver({ driver: 'c-api' });
    const failure = await failureOf('DEVICE', () => startEngine({ engine, driver, device: 'cuda', threads }));
    expect(failure.message).toContain('CUDA cannot be used');
  });

  it('on CUDA says so, and names what the device leaves to the CPU', async () => {
    const driver = posingAsCuda(await loadDriver({ driver: 'c-api' }));
    const { linalg, report, warnings } = await startEngine({ engine, driver, device: 'cuda', threads });
    expect(report).toMatchObject({ name: 'ort', backend: 'cuda', device: 'gpu' });
    const messages: string[] = [];
    const problem: InitProblem = {
      ...{ weight: freshWeight(300, 1200, 1), rank: 12, rowsPerNeuron: 1, seed: 1, linalg },
      activation: { kind: 'Relu' },
      sampled: {
        settings: { steps: 2, batch: 8 },
        driver,
        session: { device: 'cuda', threads },
        onWarning: (message) => messages.push(message),
      },
    };
    await inits['lfai-ws-adam'].fit(problem);
    await linalg.close();
    // One line for each list of nodes, however many products have it.
    expect(warnings).toEqual(
      expect.arrayContaining([expect.stringMatching(/^1 of 1 nodes of a matrix product run on the CPU.*Gemm ×1/)]),
    );
    expect(new Set(warnings).size).toBe(warnings.length);
    expect(messages).toEqual([expect.stringMatching(/nodes of the loop that fits the pair run on the CPU.*Loop ×1/)]);
  });

  it.each(['spectral', 'lfai', 'relu-svd', 'lfai-ws-adam'] as const)(
    'on a device fits the pair of %s as the CPU does, bit for bit where the device is the CPU',
    async (name) => {
      const driver = await loadDriver({ driver: 'c-api' });
      const fits: FactorPair[] = [];
      for (const [device, maker] of [
        ['cpu', driver],
        ['cuda', posingAsCuda(driver)],
      ] as const) {
        const { linalg } = await startEngine({ engine, driver: maker, device, threads });
        const problem: InitProblem = {
          ...{ weight: freshWeight(300, 1200, 2), rank: 12, rowsPerNeuron: 1, seed: 1, linalg },
          activation: { kind: 'Relu' },
          sampled: { settings: { steps: 3, batch: 8 }, driver: maker, session: { device, threads } },
        };
        fits.push(await inits[name].fit(problem));
        await linalg.close();
      }
      expect(fits[1]).toEqual(fits[0]);
    },
  );

  it('in a driver that keeps nothing on a device computes on the CPU, with a warning', async () => {
    const driver = await loadDriver({ driver: 'javascript' });
    const { linalg, report, warnings } = await startEngine({ engine, driver, device: 'cuda', threads });
    expect(report).toMatchObject({ backend: 'cpu', device: 'cpu' });
    expect(warnings).toEqual([expect.stringContaining('the JavaScript driver multiplies on the CPU')]);
    await linalg.close();
  });
});
