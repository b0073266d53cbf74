import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { gemmChain, unaryModel } from '../support/models.js';

/** Whole processes run the built files: Node 20 runs no TypeScript. */
const built = new URL('../../dist/src/runtime/driver.js', import.meta.url);
const DRIVERS = ['c-api', 'javascript'] as const;

const folder = mkdtempSync(path.join(tmpdir(), 'lowrank-process-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** Runs an ES module in a Node process of its own; `loadDriver` and `load(name)` are there. */
async function runScript(script: string, ...nodeArguments: readonly string[]): Promise<Outcome> {
  const file = path.join(folder, `script-${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(file, `import { loadDriver } from ${JSON.stringify(built.href)};\n${script}`);
  const start = performance.now();
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...nodeArguments, file],
      { timeout: 60_000, env: { ...process.env, NODE_NO_WARNINGS: '1' } },
      (_, stdout, stderr) => {
        resolve({
          code: child.exitCode,
          signal: child.signalCode,
          stdout,
          stderr,
          seconds: (performance.now() - start) / 1000,
        });
      },
    );
  });
}

function modelFile(name: string, bytes: Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return JSON.stringify(file);
}

describe.skipIf(!existsSync(fileURLToPath(built)))('whole processes (needs npm run build)', () => {
  const small = modelFile('small.onnx', unaryModel('Neg'));
  // 2 · 1024³ · 1000 = 2.1e12 operations: over 10 s on one core of any machine of today (200 GFLOP/s).
  const long = modelFile('long.onnx', gemmChain(1000));

  it('importing the driver loads nothing native', async () => {
    const { stdout } = await runScript(
      `const objects = process.report.getReport().sharedObjects;
       console.log(typeof loadDriver, JSON.stringify(objects.filter((name) => /onnx|koffi/i.test(name))));`,
    );
    expect(stdout.trim()).toBe('function []');
  });

  it.each(DRIVERS)('%s: a process with open sessions and bindings ends by itself', async (driver) => {
    const outcome = await runScript(
      `const driver = await loadDriver({ driver: '${driver}' });
       const session = await driver.createSession(${small});
       session.bind();
       const { y } = await session.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(3) } });
       console.log(y.data[0]);`,
    );
    expect(outcome).toMatchObject({ code: 0, signal: null, stdout: '-3\n', stderr: '' });
  });

  it('c-api: process.exit ends a run in flight instead of waiting for it', async () => {
    const outcome = await runScript(
      `const square = { type: 'float32', dims: [1024, 1024], data: new Float32Array(1024 * 1024) };
       const session = await (await loadDriver({ driver: 'c-api' })).createSession(${long}, { threads: 1 });
       const run = session.run({ x: square, w: square });
       run.then(() => console.log('finished'), () => console.log('failed'));
       setTimeout(() => process.exit(7), 50);`,
    );
    expect(outcome).toMatchObject({ code: 7, signal: null, stdout: '', stderr: '' });
    expect(outcome.seconds).toBeLessThan(5); // start-up and 50 ms; the whole run would take over 10 s
  });

  it('c-api: the thread of sessions that record keeps no process alive', async () => {
    const outcome = await runScript(
      `const session = await (await loadDriver({ driver: 'c-api' })).createSession(${small}, { capture: true });
       const [x, y] = [session.allocate('float32', [1]), session.allocate('float32', [1])];
       await x.write(Float32Array.of(3));
       const binding = session.bind();
       binding.bindInput('x', x);
       binding.bindOutput('y', y);
       await binding.run();
       console.log((await y.read())[0]);`,
    );
    expect(outcome).toMatchObject({ code: 0, signal: null, stdout: '-3\n', stderr: '' });
  });

  it('c-api: process.exit ends a run on that thread instead of waiting for it', async () => {
    const outcome = await runScript(
      `const session = await (await loadDriver({ driver: 'c-api' })).createSession(${long}, { threads: 1, capture: true });
       const square = () => session.allocate('float32', [1024, 1024]);
       const binding = session.bind();
       for (const name of ['x', 'w']) {
         const tensor = square();
         await tensor.write(new Float32Array(1024 * 1024));
         binding.bindInput(name, tensor);
       }
       binding.bindOutput(session.outputs[0].name, square());
       const run = binding.run();
       run.then(() => console.log('finished'), () => console.log('failed'));
       setTimeout(() => process.exit(7), 500);`,
    );
    expect(outcome).toMatchObject({ code: 7, signal: null, stdout: '', stderr: '' });
    expect(outcome.seconds).toBeLessThan(8);
  });

  it('c-api: a worker thread may be terminated with open sessions', async () => {
    const worker = `import { parentPort } from 'node:worker_threads';
       import { loadDriver } from ${JSON.stringify(built.href)};
       const session = await (await loadDriver({ driver: 'c-api' })).createSession(${small}, { threads: 4 });
       parentPort.postMessage(session.inputs.length);
       setInterval(() => {}, 1000);`;
    const outcome = await runScript(
      `import { Worker } from 'node:worker_threads';
       const session = await (await loadDriver({ driver: 'c-api' })).createSession(${small});
       const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(worker)})));
       await new Promise((resolve) => worker.once('message', resolve));
       await worker.terminate();
       const { y } = await session.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(3) } });
       console.log(y.data[0]);`,
    );
    expect(outcome).toMatchObject({ code: 0, signal: null, stdout: '-3\n', stderr: '' });
  });

  it.each(DRIVERS)('%s: onnxruntime prints nothing, whatever fails', async (driver) => {
    const broken = modelFile('broken.onnx', new TextEncoder().encode('<html></html>'));
    const shapes = modelFile('shapes.onnx', gemmChain(2));
    const outcome = await runScript(
      `const driver = await loadDriver({ driver: '${driver}' });
       const codes = [];
       const attempt = (action) => action().then(() => codes.push('none'), (error) => codes.push(error.code));
       await attempt(() => driver.createSession(${broken}));
       const session = await driver.createSession(${shapes});
       const matrix = (...dims) => ({ type: 'float32', dims, data: new Float32Array(dims[0] * dims[1]) });
       await attempt(() => session.run({ x: matrix(2, 3), w: matrix(4, 4) }));
       await attempt(() => driver.createSession(${small}, { device: 'webgpu' }));
       await session.close();
       console.log(codes.join(' '));`,
    );
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^RUNTIME RUNTIME (DEVICE|none)\n$/); // one line: nothing of onnxruntime's between
  });

  it('without koffi the JavaScript driver stands in and says why', async () => {
    // A module hook that makes koffi unresolvable, as an install without its binaries does.
    const hook = `export async function resolve(name, context, next) {
      if (name === 'koffi') throw new Error('koffi has no binary here');
      return next(name, context);
    }`;
    const register = `import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));`;
    const outcome = await runScript(
      `const driver = await loadDriver();
       const session = await driver.createSession(${small});
       const { y } = await session.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(3) } });
       console.log(driver.name, y.data[0], driver.fallbackReason);
       await loadDriver({ driver: 'c-api' }).catch((error) => console.log(error.code));`,
      '--import',
      `data:text/javascript,${encodeURIComponent(register)}`,
    );
    expect(outcome.stderr).toBe('');
    expect(outcome.stdout).toMatch(/^javascript -3 koffi cannot be loaded: koffi has no binary here; .*\nRUNTIME\n$/);
  });
});
