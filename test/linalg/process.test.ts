import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { builtFile } from '../../src/built-file.js';
import { createWorkerPool } from '../../src/linalg/worker-pool.js';
import { failureOf } from '../support/errors.js';

/** Runs a script against the built library, in a process of its own; its output. */
function script(body: string): string {
  const library = new URL('../../dist/src/', import.meta.url).href;
  const source = `
    import { createWorkerPool } from '${library}linalg/worker-pool.js';
    import { createLinalg } from '${library}linalg/linalg.js';
    import { loadDriver } from '${library}runtime/driver.js';
    ${body}`;
  return execFileSync(process.execPath, ['--input-type=module', '--eval', source], {
    encoding: 'utf8',
    timeout: 60_000,
  });
}

describe('worker threads', () => {
  it('keep the process alive while they solve, and not afterwards', () => {
    const output = script(`
      const pool = createWorkerPool(2);
      const matrix = Float64Array.from({ length: 400 * 400 }, (_, i) => Math.sin(i * i));
      const { values } = await pool.solve({ kind: 'eigenvalues', matrix, n: 400 });
      console.log(values.length);
      // Neither closed nor terminated: an idle worker must not hold the process.
    `);
    expect(output.trim()).toBe('400');
  });

  it('and sessions end with close', () => {
    const output = script(`
      const linalg = await createLinalg({ driver: await loadDriver() });
      const a = { rows: 40, cols: 50, data: Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i * i)) };
      const { singularValues } = await linalg.truncatedSvd(a, 4);
      await linalg.close();
      console.log(singularValues.length, process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length);
    `);
    expect(output.trim()).toBe('4 0');
  });

  it('may be stopped at any moment', () => {
    // Without compileOnOwnThread() about one stopped worker in a hundred aborts the process.
    const output = script(`
      for (let k = 0; k < 80; k++) {
        const pool = createWorkerPool(1 + (k % 2));
        const n = [100, 200, 400][k % 3];
        const jobs = Array.from({ length: 3 }, () => {
          const matrix = Float64Array.from({ length: n * n }, (_, i) => Math.sin(i * i));
          return pool.solve({ kind: 'eigen', matrix, n, count: n }).catch(() => undefined);
        });
        if (k % 4 > 0) await new Promise((resolve) => setTimeout(resolve, (k * 7919) % (k % 4 === 1 ? 10 : 100)));
        await pool.close();
        await Promise.all(jobs);
      }
      console.log('all stopped');
    `);
    expect(output.trim()).toBe('all stopped');
  });

  it('report what a solver throws, and go on', async () => {
    const pool = createWorkerPool(1);
    try {
      const broken = new Float64Array(9).fill(Number.NaN);
      await failureOf('NUMERIC', () => pool.solve({ kind: 'eigen', matrix: broken, n: 3, count: 1 }));
      const { values } = await pool.solve({ kind: 'eigen', matrix: Float64Array.of(2, 0, 0, 3), n: 2, count: 1 });
      expect([...values]).toEqual([3, 2]);
    } finally {
      await pool.close();
    }
    await failureOf('INTERNAL', () => pool.solve({ kind: 'eigenvalues', matrix: new Float64Array(1), n: 1 }));
  });

  it('reject what is queued or running when the pool closes', async () => {
    const pool = createWorkerPool(1);
    const jobs = Array.from({ length: 3 }, () => {
      const matrix = Float64Array.from({ length: 600 * 600 }, (_, i) => Math.sin(i * i));
      return failureOf('INTERNAL', () => pool.solve({ kind: 'eigen', matrix, n: 600, count: 600 }));
    });
    await pool.close();
    await Promise.all(jobs);
  });

  it('are looked for in the build', async () => {
    expect((await failureOf('INTERNAL', () => builtFile('no-such-file.js'))).remedy).toContain('npm run build');
  });
});
