import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadDriver } from '../../src/runtime/driver.js';
import { ELEMENT_TYPES } from '../../src/runtime/element-type.js';
import type { Driver, ElementType, RuntimeTensor, Session, TensorData } from '../../src/runtime/types.js';
import { failureOf } from '../support/errors.js';
import { buildModel, gemmChain, unaryModel } from '../support/models.js';

/** Every driver has to pass the same suite. */
const DRIVERS = ['c-api', 'javascript'] as const;

const folder = mkdtempSync(path.join(tmpdir(), 'lowrank-runtime-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function floats(dims: readonly number[], data: readonly number[]): RuntimeTensor {
  return { type: 'float32', dims, data: Float32Array.from(data) };
}

/** All bit patterns matter: NaN payloads, negative zero, the sign bit of integers. */
function bitsOf(data: TensorData): number[] {
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** y = x + 1, float32 [n]. */
const increment = buildModel({
  inputs: [{ name: 'x', dims: ['n'] }],
  outputs: [{ name: 'y', dims: ['n'] }],
  initializers: [{ name: 'one', dims: [], data: Float32Array.of(1) }],
  nodes: [{ op: 'Add', inputs: ['x', 'one'], outputs: ['y'] }],
});

/** sum = a + b, difference = a − b, float32 [2, n]. */
const twoByTwo = buildModel({
  inputs: [
    { name: 'a', dims: [2, 'n'] },
    { name: 'b', dims: [2, 'n'] },
  ],
  outputs: [
    { name: 'sum', dims: [2, 'n'] },
    { name: 'difference', dims: [2, 'n'] },
  ],
  nodes: [
    { op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
    { op: 'Sub', inputs: ['a', 'b'], outputs: ['difference'] },
  ],
});

describe.each(DRIVERS)('driver %s', (name) => {
  let driver: Driver;
  const open: Session[] = [];
  const create = async (...args: Parameters<Driver['createSession']>): Promise<Session> => {
    const session = await driver.createSession(...args);
    open.push(session);
    return session;
  };
  beforeAll(async () => {
    driver = await loadDriver({ driver: name });
  });
  afterAll(async () => {
    for (const session of open) await session.close();
  });

  it('says what it is', () => {
    expect(driver.name).toBe(name);
    expect(driver.fallbackReason).toBeUndefined();
    expect(driver.version).toMatch(/^1\.\d+\.\d+$/);
    expect(driver.providers).toContain('CPUExecutionProvider');
    expect(driver.library).toMatch(/onnxruntime/);
  });

  describe('element types', () => {
    const types = Object.keys(ELEMENT_TYPES) as ElementType[];
    it.each(types.filter((type) => name === 'c-api' || type !== 'bfloat16'))(
      '%s survives a round trip',
      async (type) => {
        const { array, bytes } = ELEMENT_TYPES[type];
        const session = await create(unaryModel('Identity', type, [2, 'n']));
        expect(session.inputs).toEqual([{ name: 'x', type, dims: [2, -1] }]);
        expect(session.outputs).toEqual([{ name: 'y', type, dims: [2, -1] }]);
        // 12 elements; 0x80 and 0xff set sign bits and make infinities and NaNs; a bool is 0 or 1.
        const pattern = Uint8Array.from({ length: 12 * bytes }, (_, i) =>
          type === 'bool' ? i % 2 : (i * 37 + 128) % 256,
        );
        const x = { type, dims: [2, 6], data: new array(pattern.buffer) };
        const { y } = await session.run({ x });
        expect(y).toMatchObject({ type, dims: [2, 6] });
        expect(y?.data).toBeInstanceOf(array);
        expect(bitsOf(y!.data)).toEqual([...pattern]);
      },
    );

    it.runIf(name === 'javascript')('bfloat16 is refused, with the driver that has it', async () => {
      const failure = await failureOf('UNSUPPORTED', () => create(unaryModel('Identity', 'bfloat16')));
      expect(failure.message).toContain('C-API');
    });

    it('string tensors are refused', async () => {
      const session = await create(unaryModel('Identity', 'string'));
      expect(session.inputs[0]?.type).toBe('string');
      const failure = await failureOf('UNSUPPORTED', () => session.run({ x: floats([1], [1]) }));
      expect(failure.message).toContain("input 'x' is a string tensor");
    });
  });

  describe('shapes', () => {
    it('any shape and any bits pass through Identity', async () => {
      const session = await create(
        buildModel({
          inputs: [{ name: 'x' }], // no shape declared: scalars, empty tensors and all ranks
          outputs: [{ name: 'y' }],
          nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
        }),
      );
      const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(shapes, fc.integer(), async (dims, seed) => {
          const count = dims.reduce((product, dim) => product * dim, 1);
          const bits = Uint32Array.from({ length: count }, (_, i) => Math.imul(seed + i, 0x9e3779b1) >>> 0);
          const { y } = await session.run({ x: { type: 'float32', dims, data: new Float32Array(bits.buffer) } });
          expect(y?.dims).toEqual(dims);
          expect(bitsOf(y!.data)).toEqual([...new Uint8Array(bits.buffer)]);
        }),
        { numRuns: 100, seed: 1 },
      );
    });

    it('a scalar and an empty tensor', async () => {
      const session = await create(unaryModel('Neg', 'float32', []));
      const { y } = await session.run({ x: floats([], [3]) });
      expect(y).toEqual(floats([], [-3]));
      const rows = await create(unaryModel('Neg', 'float32', ['n', 3]));
      const empty = await rows.run({ x: floats([0, 3], []) });
      expect(empty['y']).toEqual(floats([0, 3], []));
    });

    it('one session takes many sizes of an open dimension', async () => {
      const session = await create(increment);
      for (const n of [1, 7, 1000, 2]) {
        const { y } = await session.run({ x: { type: 'float32', dims: [n], data: new Float32Array(n).fill(2) } });
        expect(y).toEqual({ type: 'float32', dims: [n], data: new Float32Array(n).fill(3) });
      }
    });

    it('a feed may be a view into a larger buffer, or shared memory', async () => {
      const session = await create(increment);
      const part = Float32Array.of(9, 9, 1, 2, 9).subarray(2, 4);
      expect((await session.run({ x: { type: 'float32', dims: [2], data: part } }))['y']?.data).toEqual(
        Float32Array.of(2, 3),
      );
      const sharedArray = new Float32Array(new SharedArrayBuffer(8));
      sharedArray.set([4, 5]);
      const shared = session.run({ x: { type: 'float32', dims: [2], data: sharedArray } });
      expect((await shared)['y']?.data).toEqual(Float32Array.of(5, 6));
    });
  });

  describe('outputs', () => {
    const a = floats([2, 1], [5, 7]);
    const b = floats([2, 1], [2, 3]);

    it('all by default, the chosen ones otherwise', async () => {
      const session = await create(twoByTwo);
      expect(await session.run({ a, b })).toEqual({
        sum: floats([2, 1], [7, 10]),
        difference: floats([2, 1], [3, 4]),
      });
      expect(await session.run({ a, b }, ['difference'])).toEqual({ difference: floats([2, 1], [3, 4]) });
      expect(Object.keys(await session.run({ a, b }, ['difference', 'sum', 'sum']))).toEqual(['difference', 'sum']);
    });

    it('are fresh arrays', async () => {
      const session = await create(twoByTwo);
      const first = await session.run({ a, b });
      const copy = first['sum']!.data.slice();
      await session.run({ a: floats([2, 1], [0, 0]), b });
      expect(first['sum']!.data).toEqual(copy);
    });

    it('an unknown one is an error that names the others', async () => {
      const session = await create(twoByTwo);
      const failure = await failureOf('RUNTIME', () => session.run({ a, b }, ['total']));
      expect(failure.message).toBe("the model has no output 'total'; its outputs are 'sum', 'difference'");
      await failureOf('RUNTIME', () => session.run({ a, b }, []));
    });
  });

  describe('bad feeds get one clear line', () => {
    const a = floats([2, 3], [1, 2, 3, 4, 5, 6]);
    it.each([
      ['a missing input', { a }, "input 'b' is missing; the model needs 'a', 'b'"],
      ['an unknown input', { a, b: a, c: a }, "the model has no input 'c'; its inputs are 'a', 'b'"],
      [
        'a wrong element type',
        { a, b: { type: 'float64', dims: [2, 3], data: new Float64Array(6) } },
        "element type is float64, the model needs float32; input 'b'",
      ],
      [
        'an array of another type',
        { a, b: { type: 'float32', dims: [2, 3], data: new Int32Array(6) } },
        "the data of a float32 tensor is a Int32Array, not a Float32Array; input 'b'",
      ],
      ['a wrong rank', { a, b: { ...a, dims: [6] } }, "shape is [6], the model needs [2, ?]; input 'b'"],
      ['a wrong size', { a, b: { ...a, dims: [3, 2] } }, "shape is [3, 2], the model needs [2, ?]; input 'b'"],
      ['a short array', { a, b: { ...a, dims: [2, 4] } }, "shape [2, 4] has 8 elements, the array 6; input 'b'"],
      ['no size', { a, b: { ...a, dims: [2, 1.5] } }, "shape [2, 1.5] holds something that is not a size; input 'b'"],
    ] as const)('%s', async (_, feeds, message) => {
      const session = await create(twoByTwo);
      const failure = await failureOf('RUNTIME', () => session.run(feeds));
      expect(failure.message).toBe(message);
    });

    it('what only an operator can see comes from onnxruntime', async () => {
      const session = await create(twoByTwo);
      const failure = await failureOf('RUNTIME', () =>
        session.run({ a, b: { ...a, dims: [2, 2], data: a.data.slice(2) } }),
      );
      expect(failure.message).toMatch(/^onnxruntime failed: .*(Add|Sub) node.*broadcast/);
    });
  });

  describe('bad models', () => {
    it('bytes that are no model', async () => {
      const failure = await failureOf('RUNTIME', () => create(new TextEncoder().encode('not a model at all')));
      expect(failure.message).toMatch(/^onnxruntime cannot load the model: .*protobuf/i);
      await failureOf('RUNTIME', () => create(new Uint8Array(0)));
    });

    it('a web page saved as a model', async () => {
      const file = path.join(folder, 'page.onnx');
      writeFileSync(file, '<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>');
      const failure = await failureOf('RUNTIME', () => create(file));
      expect(failure.message).toContain(file);
    });

    it('a missing file and a folder', async () => {
      const failure = await failureOf('INPUT', () => create(path.join(folder, 'nowhere.onnx')));
      expect(failure.message).toContain('no such file');
      await failureOf('INPUT', () => create(folder));
    });

    it('an operator that does not exist', async () => {
      const failure = await failureOf('RUNTIME', () => create(unaryModel('Frobnicate')));
      expect(failure.message).toContain('Frobnicate');
    });
  });

  describe('session options', () => {
    it('a model may come from a path', async () => {
      const file = path.join(folder, `modell-ä-${name}.onnx`);
      writeFileSync(file, increment);
      const { y } = await (await create(file)).run({ x: floats([1], [1]) });
      expect(y).toEqual(floats([1], [2]));
    });

    it('external data of a model given as bytes lies in the folder that is named', async () => {
      writeFileSync(path.join(folder, 'weights.bin'), Float32Array.of(10, 20, 30));
      const model = buildModel({
        inputs: [{ name: 'x', dims: [3] }],
        outputs: [{ name: 'y', dims: [3] }],
        initializers: [{ name: 'w', dims: [3], data: { location: 'weights.bin', length: 12 } }],
        nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
      });
      const session = await create(model, { externalDataFolder: folder });
      expect((await session.run({ x: floats([3], [1, 2, 3]) }))['y']?.data).toEqual(Float32Array.of(11, 22, 33));
      await failureOf('RUNTIME', () => create(model, { externalDataFolder: path.join(folder, 'nowhere') }));
    });

    it.runIf(process.platform === 'linux')('threads are what is asked for', async () => {
      const threads = (): readonly string[] => readdirSync('/proc/self/task');
      const before = new Set(threads());
      const session = await create(increment, { threads: 6 });
      // onnxruntime's pool is one smaller: the calling thread works too. Others of the process may start and end meanwhile.
      expect(threads().filter((id) => !before.has(id)).length).toBeGreaterThanOrEqual(5);
      await session.close();
      for (const bad of [0, -1, 1.5]) await failureOf('USAGE', () => create(increment, { threads: bad }));
    });

    it('optimization levels, memory pattern and config entries agree on the result', async () => {
      const x = floats([4], [1, 2, 3, 4]);
      for (const graphOptimization of ['disabled', 'basic', 'extended', 'all'] as const) {
        const session = await create(increment, {
          graphOptimization,
          memoryPattern: graphOptimization === 'all',
          config: { 'session.disable_prepacking': '1' },
        });
        expect((await session.run({ x }))['y']).toEqual(floats([4], [2, 3, 4, 5]));
      }
    });

    it('sessions with a shared arena take turns in the same memory', async ({ skip }) => {
      if (name === 'javascript') skip('the JavaScript driver cannot share');
      // 128 MB that only the run needs.
      const large = buildModel({
        inputs: [{ name: 'x', dims: [1] }],
        outputs: [{ name: 'y', dims: [] }],
        initializers: [{ name: 'shape', type: 'int64', dims: [1], data: BigInt64Array.of(2n ** 25n) }],
        nodes: [
          { op: 'Expand', inputs: ['x', 'shape'], outputs: ['wide'] },
          { op: 'ReduceMax', inputs: ['wide'], outputs: ['y'], attributes: { keepdims: 0 } },
        ],
      });
      const grown: number[] = [];
      for (let i = 0; i < 3; i++) {
        const before = process.memoryUsage.rss();
        const session = await create(large, { sharedArena: true, graphOptimization: 'disabled' });
        // The arena finds its size in two runs.
        for (let run = 0; run < 2; run++) {
          expect((await session.run({ x: floats([1], [7]) }))['y']).toEqual(floats([], [7]));
        }
        grown.push((process.memoryUsage.rss() - before) / 2 ** 20);
      }
      expect(grown[0]).toBeGreaterThan(100);
      // A session with an arena of its own takes as much each time; other tests of the process do not.
      expect(Math.min(...grown.slice(1))).toBeLessThan(64);
    });

    it('a profile is written, and close says where', async () => {
      const session = await driver.createSession(increment, { profilePrefix: path.join(folder, `profile-${name}`) });
      await session.run({ x: floats([1], [1]) });
      const file = await session.close();
      expect(file).toMatch(new RegExp(`profile-${name}_.*\\.json$`));
      const events = JSON.parse(readFileSync(file!, 'utf8')) as { readonly name?: string }[];
      expect(events.some((event) => event.name === 'model_run')).toBe(true);
      expect(await session.close()).toBe(file);
    });

    it('CUDA options without CUDA are contradictory', async () => {
      await failureOf('USAGE', () => create(increment, { cuda: { useTf32: true } }));
    });
  });

  describe('life of a session', () => {
    it('closes twice, and nothing works afterwards', async () => {
      const session = await driver.createSession(increment);
      const binding = session.bind();
      expect(await session.close()).toBeUndefined();
      expect(await session.close()).toBeUndefined();
      const x = floats([1], [1]);
      for (const action of [
        () => session.run({ x }),
        () => session.bind(),
        () => {
          binding.bindInput('x', x);
        },
        () => binding.run(),
      ]) {
        expect((await failureOf('RUNTIME', action)).message).toMatch(/^the (session|binding) is closed$/);
      }
      binding.close();
    });

    it('close waits for runs in flight', async () => {
      const session = await driver.createSession(increment);
      const runs = Array.from({ length: 8 }, (_, i) => session.run({ x: floats([2], [i, i]) }));
      await Promise.all([session.close(), ...runs]);
      for (const [i, run] of runs.entries()) expect((await run)['y']).toEqual(floats([2], [i + 1, i + 1]));
    });

    it('a thousand runs at once all come out right', async () => {
      const session = await create(increment);
      const runs = Array.from({ length: 1000 }, (_, i) => session.run({ x: floats([1], [i]) }));
      const results = (await Promise.all(runs)).map(({ y }) => y?.data[0]);
      expect(results).toEqual(runs.map((_, i) => i + 1));
    });

    it('200 runs do not grow memory', async () => {
      const elements = 2 ** 20; // 4 MiB a tensor
      const session = await create(increment);
      const x = { type: 'float32', dims: [elements], data: new Float32Array(elements) } as const;
      const repeat = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) await session.run({ x });
        collectGarbage();
      };
      await repeat(20);
      let grown = Infinity;
      for (let round = 0; round < 3 && grown >= 100; round++) {
        const before = process.memoryUsage.rss();
        await repeat(200);
        grown = (process.memoryUsage.rss() - before) / 2 ** 20;
      }
      // Losing one tensor a run would cost 800 MiB in every round, what other tests of the process take comes in some. The
      // allowance is what allocators may keep: ten tensors and noise.
      expect(grown).toBeLessThan(100);
    });
  });

  describe('binding', () => {
    it('reads its input and writes its output in place', async () => {
      const session = await create(increment);
      const x = new Float32Array(3);
      const y = new Float32Array(3);
      const binding = session.bind();
      binding.bindInput('x', { type: 'float32', dims: [3], data: x });
      binding.bindOutput('y', { type: 'float32', dims: [3], data: y });
      for (const value of [1, 2, 3]) {
        x.fill(value);
        await binding.run();
        expect(y).toEqual(new Float32Array(3).fill(value + 1));
      }
      binding.close();
      binding.close();
    });

    it('two bindings play ping-pong', async () => {
      const session = await create(increment);
      const buffers = [new Float32Array(2), new Float32Array(2)] as const;
      const [even, odd] = buffers.map((data) => ({ type: 'float32', dims: [2], data }) as const);
      const bindings = [session.bind(), session.bind()] as const;
      bindings[0].bindInput('x', even!);
      bindings[0].bindOutput('y', odd!);
      bindings[1].bindInput('x', odd!);
      bindings[1].bindOutput('y', even!);
      for (let step = 0; step < 100; step++) await bindings[step % 2 === 0 ? 0 : 1].run();
      expect(buffers).toEqual([Float32Array.of(100, 100), Float32Array.of(99, 99)]);
    });

    it('binds anew, and computes only what is bound', async () => {
      const session = await create(twoByTwo);
      const binding = session.bind();
      const sum = floats([2, 1], [0, 0]);
      binding.bindInput('a', floats([2, 1], [1, 2]));
      binding.bindInput('b', floats([2, 1], [10, 20]));
      binding.bindOutput('sum', sum);
      await binding.run();
      expect(sum.data).toEqual(Float32Array.of(11, 22));
      binding.bindInput('b', floats([2, 1], [30, 40]));
      await binding.run();
      expect(sum.data).toEqual(Float32Array.of(31, 42));
    });

    it('the garbage collector leaves bound arrays alone', async () => {
      const session = await create(increment);
      const binding = session.bind();
      const y = new Float32Array(2);
      binding.bindInput('x', { type: 'float32', dims: [2], data: Float32Array.of(5, 6) }); // referenced by the binding only
      binding.bindOutput('y', { type: 'float32', dims: [2], data: y });
      for (let round = 0; round < 20; round++) {
        collectGarbage();
        void Array.from({ length: 1000 }, () => new Float32Array(2).fill(-1));
        await binding.run();
        expect(y).toEqual(Float32Array.of(6, 7));
      }
    });

    it('says what is missing or does not fit', async () => {
      const session = await create(twoByTwo);
      const binding = session.bind();
      const a = floats([2, 1], [1, 2]);
      expect((await failureOf('RUNTIME', () => binding.run())).message).toContain("input 'a' is missing");
      binding.bindInput('a', a);
      binding.bindInput('b', a);
      expect((await failureOf('RUNTIME', () => binding.run())).message).toContain('no output is bound');
      await failureOf('RUNTIME', () => {
        binding.bindInput('c', a);
      });
      await failureOf('RUNTIME', () => {
        binding.bindOutput('sum', floats([3, 1], [0, 0, 0]));
      });
      binding.bindOutput('sum', floats([2, 2], [0, 0, 0, 0])); // fits the declaration, not the result
      await failureOf('RUNTIME', () => binding.run());
    });

    it('an array that was transferred away is refused before native code sees it', async () => {
      const session = await create(increment);
      const binding = session.bind();
      const x = floats([2], [1, 2]);
      binding.bindInput('x', x);
      binding.bindOutput('y', floats([2], [0, 0]));
      await binding.run();
      structuredClone(x.data, { transfer: [x.data.buffer as ArrayBuffer] });
      expect((await failureOf('RUNTIME', () => binding.run())).message).toContain('2 elements, the array 0');
    });

    it('one run at a time', async () => {
      const session = await create(increment);
      const binding = session.bind();
      const y = floats([2], [0, 0]);
      binding.bindInput('x', floats([2], [1, 2]));
      binding.bindOutput('y', y);
      const first = binding.run();
      expect((await failureOf('RUNTIME', () => binding.run())).message).toContain('in flight');
      await failureOf('RUNTIME', () => {
        binding.close();
      });
      await first;
      expect(y.data).toEqual(Float32Array.of(2, 3));
    });
  });

  describe('aborting', () => {
    it('a signal that has fired ends a run before it starts', async () => {
      const session = await create(increment);
      const signal = AbortSignal.abort();
      const x = floats([1], [1]);
      await failureOf('ABORTED', () => session.run({ x }, undefined, { signal }));
      const binding = session.bind();
      const y = floats([1], [0]);
      binding.bindInput('x', x);
      binding.bindOutput('y', y);
      await failureOf('ABORTED', () => binding.run({ signal }));
      expect(y.data[0]).toBe(0);
      await binding.run();
      expect(y.data[0]).toBe(2);
    });
  });
});

describe('the C API leaves the event loop free', () => {
  const n = 256;
  const feeds = {
    x: { type: 'float32', dims: [n, n], data: new Float32Array(n * n).fill(1) },
    w: { type: 'float32', dims: [n, n], data: new Float32Array(n * n).fill(1 / n) },
  } as const;
  let session: Session;
  beforeAll(async () => {
    // 2 · 256³ · 3000 = 1.0e11 operations: at least 0.25 s on one core of any machine of today (400 GFLOP/s).
    session = await (await loadDriver({ driver: 'c-api' })).createSession(gemmChain(3000), { threads: 1 });
  });
  afterAll(() => session.close());

  /** Milliseconds of a run, and how often a 5 ms timer fired meanwhile. */
  const watch = async (run: Promise<unknown>): Promise<{ readonly ms: number; readonly ticks: number }> => {
    const start = performance.now();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    try {
      await run.catch(() => undefined);
    } finally {
      clearInterval(timer);
    }
    return { ms: performance.now() - start, ticks };
  };

  it('timers fire during a long run, and a signal ends it', async () => {
    const run = session.run(feeds);
    const full = await watch(run);
    expect((await run)['y']?.data[0]).toBeCloseTo(1, 3); // n additions of 1/n, 3000 times: rounding far below 1e-3
    expect(full.ms).toBeGreaterThan(200);
    expect(full.ticks).toBeGreaterThan(0);

    const controller = new AbortController();
    const stopped = session.run(feeds, undefined, { signal: controller.signal });
    setTimeout(() => {
      controller.abort();
    }, full.ms / 10);
    const { ms } = await watch(stopped);
    await failureOf('ABORTED', () => stopped);
    // Terminated at a tenth, plus one operator of three thousand; half leaves room for a noisy machine.
    expect(ms).toBeLessThan(full.ms / 2);
  });

  it('files can be read while many runs are in flight', async () => {
    const controller = new AbortController();
    let finished = 0;
    const runs = Array.from({ length: 8 }, () =>
      session.run(feeds, undefined, { signal: controller.signal }).finally(() => finished++),
    );
    await readFile(new URL(import.meta.url));
    expect(finished).toBe(0);
    controller.abort();
    await Promise.all(runs.map((run) => failureOf('ABORTED', () => run)));
  });

  it('a signal ends a bound run, and the binding lives on', async () => {
    const y = { type: 'float32', dims: [n, n], data: new Float32Array(n * n) } as const;
    const binding = session.bind();
    binding.bindInput('x', feeds.x);
    binding.bindInput('w', feeds.w);
    binding.bindOutput('y', y);
    const stopped = failureOf('ABORTED', () => binding.run({ signal: AbortSignal.timeout(20) }));
    const { ms } = await watch(stopped);
    await stopped;
    const whole = binding.run();
    const full = await watch(whole);
    await whole;
    expect(ms).toBeLessThan(full.ms / 2);
    expect(y.data[0]).toBeCloseTo(1, 3);
  });
});
