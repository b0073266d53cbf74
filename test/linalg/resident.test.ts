import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLinalg } from '../../src/linalg/linalg.js';
import { isOnDevice, type Operand, type RealMatrix } from '../../src/linalg/operand.js';
import { createProducts, type ProductOptions, type Products } from '../../src/linalg/products.js';
import { createScratch } from '../../src/linalg/scratch.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { isLoadable } from '../../src/runtime/loader.js';
import type { Binding, Driver, Session, SessionOptions } from '../../src/runtime/types.js';
import { failureOf } from '../support/errors.js';
import { gaussian, norm, orthonormalityError, residual, ternary, withSpectrum } from './support/matrices.js';

/** With more, how onnxruntime shares out a product may depend on its size, and with it the order of sums: strips of a Gram matrix. */
const threads = 1;

/** The same code on every device that this machine has; on the CPU it must give the bits that arrays give. */
const devices: readonly SessionOptions[] = [
  { device: 'cpu' },
  ...((await isLoadable('libcuda.so.1')) ? [{ device: 'cuda', cuda: { useTf32: false } } as const] : []),
];

const doubles = (rows: number, cols: number, seed: number): RealMatrix => ({
  rows,
  cols,
  data: Float64Array.from(gaussian(rows, cols, seed).data, (x) => x * (1 + 1e-9)),
});

/** A driver whose sessions count the elements of the arrays that their bindings take, largest first. */
function watched(driver: Driver, seen: number[]): Driver {
  const watchBinding = (binding: Binding): Binding => ({
    bindInput: (name, tensor) => {
      if ('data' in tensor) seen.push(tensor.data.length);
      binding.bindInput(name, tensor);
    },
    bindOutput: (name, tensor) => {
      if ('data' in tensor) seen.push(tensor.data.length);
      binding.bindOutput(name, tensor);
    },
    run: (options) => binding.run(options),
    close: () => binding.close(),
  });
  const watchSession = (session: Session): Session => ({
    inputs: session.inputs,
    outputs: session.outputs,
    placement: session.placement,
    run: (...call) => session.run(...call),
    bind: () => watchBinding(session.bind()),
    allocate: (type, dims) => session.allocate(type, dims),
    allocateHost: (type, dims) => session.allocateHost(type, dims),
    close: () => session.close(),
  });
  return { ...driver, createSession: async (...call) => watchSession(await driver.createSession(...call)) };
}

describe.each(devices)('products of matrices on $device', (session) => {
  const isExact = session.device === 'cpu';
  const scratch = createScratch();
  const warnings: string[] = [];
  let products: Products;
  beforeAll(async () => {
    const onWarning = (message: string): void => void warnings.push(message);
    products = await createProducts(await loadDriver({ driver: 'c-api' }), threads, { session, scratch, onWarning });
  });
  afterAll(() => products.close());

  /** On another device sums are ordered otherwise: errors of 400 terms are a random walk of about √400 · 6e-8 at the most. */
  const expectEqual = (found: RealMatrix, expected: RealMatrix): void => {
    if (isExact) expect(found.data).toEqual(expected.data);
    else {
      const difference = Float64Array.from(found.data, (x, i) => x - expected.data[i]!);
      expect(norm(difference)).toBeLessThan(2e-6 * norm(expected.data));
    }
  };
  const onDevice = async (matrix: RealMatrix): Promise<Operand> =>
    matrix.data instanceof Float32Array
      ? products.resident!.lend({ ...matrix, data: matrix.data })
      : Promise.resolve(matrix);
  const read = async (matrix: Operand): Promise<RealMatrix> =>
    isOnDevice(matrix)
      ? { rows: matrix.rows, cols: matrix.cols, data: (await matrix.tensor.read()) as Float32Array }
      : matrix;

  const cases: Record<string, { a: RealMatrix; b: RealMatrix; options: ProductOptions; add?: 1 | -1 }> = {
    'A B': { a: gaussian(70, 400, 1), b: gaussian(400, 90, 2), options: {} },
    'A Bᵀ': { a: gaussian(70, 400, 3), b: gaussian(90, 400, 4), options: { transposeB: true } },
    'Aᵀ B': { a: gaussian(400, 70, 5), b: gaussian(400, 90, 6), options: { transposeA: true } },
    '½ A B': { a: gaussian(70, 400, 7), b: gaussian(400, 90, 8), options: { alpha: 0.5 } },
    'A B − C': { a: gaussian(70, 400, 9), b: gaussian(400, 90, 10), options: {}, add: -1 },
    'in float64': { a: gaussian(70, 400, 11), b: gaussian(400, 90, 12), options: { inFloat64: true } },
    'a float64 factor that is an array': { a: doubles(70, 400, 13), b: gaussian(400, 90, 14), options: {} },
  };
  it.each(Object.keys(cases))('%s, wherever the factors and the result lie', async (name) => {
    const { a, b, options, add } = cases[name]!;
    const c = gaussian(70, 90, 15);
    const all = (added: Operand): ProductOptions => ({
      ...options,
      ...(add === undefined ? {} : { add: { matrix: added, sign: add } }),
    });
    const expected = { rows: 70, cols: 90, data: new Float32Array(70 * 90) };
    await products.multiply(a, b, expected, all(c));
    expect(norm(expected.data)).toBeGreaterThan(100);
    const [heldA, heldB, heldC] = [await onDevice(a), await onDevice(b), await onDevice(c)];
    for (const [left, right, added] of [
      [heldA, heldB, heldC],
      [heldA, b, c],
      [a, heldB, heldC],
    ] as const) {
      const held = products.resident!.take(70, 90);
      await products.multiply(left, right, held, all(added));
      expectEqual(await read(held), expected);
      const array = { rows: 70, cols: 90, data: new Float32Array(70 * 90) };
      await products.multiply(left, right, array, all(added));
      expectEqual(array, expected);
      products.resident!.give(held);
    }
  });

  it('moves, edits and ends matrices', async () => {
    const memory = products.resident!;
    const start = scratch.take32(3, 5);
    start.data.set(Float32Array.from({ length: 15 }, (_, i) => i));
    const moved = await memory.move(start);
    await memory.edit(moved, (data) => {
      for (let i = 0; i < data.length; i++) data[i] = 2 * data[i]!;
    });
    expect((await read(moved)).data).toEqual(Float32Array.from({ length: 15 }, (_, i) => 2 * i));
    memory.give(moved);
    expect(isOnDevice(moved) && moved.tensor.isClosed).toBe(true);
    const closed = await failureOf('RUNTIME', () => products.multiply(moved, gaussian(5, 2, 1), gaussian(3, 2, 2)));
    expect(closed.message).toContain('closed');
  });

  it('leaves no node to the CPU', () => {
    expect(warnings).toEqual([]);
  });
});

describe.each(devices)('decompositions on $device', (session) => {
  const isExact = session.device === 'cpu';
  const seen: number[] = [];
  const warnings: string[] = [];
  let [arrays, resident]: Linalg[] = [];
  beforeAll(async () => {
    const driver = await loadDriver({ driver: 'c-api' });
    arrays = await createLinalg({ driver, threads });
    resident = await createLinalg({
      driver: watched(driver, seen),
      threads,
      resident: { session, leastWork: 0, onWarning: (message) => warnings.push(message) },
    });
  });
  afterAll(async () => {
    await arrays!.close();
    await resident!.close();
  });

  const cases: Record<string, readonly [Matrix, number]> = {
    'the direct way': [gaussian(64, 300, 21), 16],
    'the direct way, tall': [gaussian(300, 64, 22), 16],
    'the filter': [gaussian(320, 900, 23), 60],
    'the filter, tall': [ternary(700, 300, 24), 75],
    'more than one round, or none': [
      withSpectrum(
        280,
        320,
        Array.from({ length: 280 }, (_, k) => 0.8 ** k),
        25,
      ),
      70,
    ],
    'a rank that has to be completed': [withSpectrum(40, 60, [1, 0.5, 0.25], 26), 30],
  };
  it.each(Object.keys(cases))('%s: what arrays give', async (name) => {
    const [a, rank] = cases[name]!;
    const expected = await arrays!.truncatedSvd(a, rank, { seed: 3 });
    const found = await resident!.truncatedSvd(a, rank, { seed: 3 });
    if (isExact) expect(found).toEqual(expected);
    // Both promise 1 + 1e-4 of the optimum, and 1e-6 of the matrix for what float32 factors cannot hold.
    expect(residual(a, found)).toBeLessThan((1 + 2e-4) * residual(a, expected) + 2e-6 * norm(a.data));
    expect(orthonormalityError(found.left, 'columns')).toBeLessThan(1e-5);
    expect(orthonormalityError(found.right, 'rows')).toBeLessThan(1e-5);
  });

  it('singular values: what arrays give', async () => {
    const a = gaussian(120, 500, 27);
    const [expected, found] = [await arrays!.singularValues(a), await resident!.singularValues(a)];
    if (isExact) expect(found).toEqual(expected);
    else found.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-7 * expected[0]!));
  });

  it('no product takes or gives an array of the size of the matrix, its Gram matrix or the block', async () => {
    const [n, m, rank] = [320, 2000, 24];
    seen.length = 0;
    await resident!.truncatedSvd(gaussian(n, m, 28), rank, { seed: 3 });
    // The largest array that any of the some forty products took or gave: the right singular vectors.
    expect(seen.length).toBeGreaterThan(40);
    expect(Math.max(...seen)).toBe(rank * m);
    expect(seen.filter((length) => length >= n * n)).toEqual([]);
  });

  it('stops when the signal fires, and goes on with the next', async () => {
    const a = gaussian(500, 900, 29);
    const controller = new AbortController();
    const running = resident!.truncatedSvd(a, 120, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await failureOf('ABORTED', () => running);
    await resident!.truncatedSvd(gaussian(40, 50, 30), 6);
  });

  it('leaves no node to the CPU', () => {
    expect(warnings).toEqual([]);
  });
});

it('a device that is not there fails at once, in one line', async ({ skip }) => {
  if (await isLoadable('libcuda.so.1')) skip('this machine has CUDA');
  const driver = await loadDriver({ driver: 'c-api' });
  const failure = await failureOf('DEVICE', () => createLinalg({ driver, resident: { session: { device: 'cuda' } } }));
  expect(failure.message).toContain('CUDA cannot be used');
});

it('the JavaScript driver keeps nothing on a device, and says so', async () => {
  const driver = await loadDriver({ driver: 'javascript' });
  const linalg = await createLinalg({ driver, resident: { session: { device: 'cpu' }, leastWork: 0 } });
  try {
    const failure = await failureOf('UNSUPPORTED', () => linalg.truncatedSvd(gaussian(20, 30, 1), 3));
    expect(failure.message).toContain('the JavaScript driver cannot keep tensors on a device');
  } finally {
    await linalg.close();
  }
});

it.runIf(devices.length === 1)('on CUDA: not run, no driver here', ({ skip }) => skip('libcuda.so.1 is not there'));
