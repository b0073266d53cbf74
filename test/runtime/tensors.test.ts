import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadDriver } from '../../src/runtime/driver.js';
import { ELEMENT_TYPES } from '../../src/runtime/element-type.js';
import { isLoadable } from '../../src/runtime/loader.js';
import type { Driver, ElementType, RuntimeTensor, Session, TensorData } from '../../src/runtime/types.js';
import { failureOf } from '../support/errors.js';
import { buildModel, unaryModel } from '../support/models.js';

/** y = x + 1, float32 [n]. */
const increment = buildModel({
  inputs: [{ name: 'x', dims: ['n'] }],
  outputs: [{ name: 'y', dims: ['n'] }],
  initializers: [{ name: 'one', dims: [], data: Float32Array.of(1) }],
  nodes: [{ op: 'Add', inputs: ['x', 'one'], outputs: ['y'] }],
});

function bitsOf(data: TensorData): number[] {
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

const floats = (...data: readonly number[]): RuntimeTensor => ({
  type: 'float32',
  dims: [data.length],
  data: Float32Array.from(data),
});

/** The same code on every device that this machine has. */
const devices = (await isLoadable('libcuda.so.1')) ? (['cpu', 'cuda'] as const) : (['cpu'] as const);

describe.each(devices)('tensors on %s', (device) => {
  let driver: Driver;
  const open: Session[] = [];
  const create = async (...[model, options]: Parameters<Driver['createSession']>): Promise<Session> => {
    const session = await driver.createSession(model, { device, ...options });
    open.push(session);
    return session;
  };
  beforeAll(async () => {
    driver = await loadDriver({ driver: 'c-api' });
  });
  afterAll(async () => {
    for (const session of open) await session.close();
  });

  it.each(Object.keys(ELEMENT_TYPES) as ElementType[])('%s comes back bit for bit', async (type) => {
    const { array, bytes } = ELEMENT_TYPES[type];
    const session = await create(increment);
    const pattern = Uint8Array.from({ length: 12 * bytes }, (_, i) => (type === 'bool' ? i % 2 : (i * 37 + 128) % 256));
    const data = new array(pattern.slice().buffer);
    const tensor = session.allocate(type, [3, 4]);
    await tensor.write(data);
    new Uint8Array(data.buffer).fill(0);
    const read = await tensor.read();
    expect(read).toBeInstanceOf(array);
    expect(bitsOf(read)).toEqual([...pattern]);
    const target = new array(12);
    expect(await tensor.read(target)).toBe(target);
    expect(bitsOf(target)).toEqual([...pattern]);
    tensor.close();
  });

  it('scalars, and tensors without elements', async () => {
    const session = await create(increment);
    const scalar = session.allocate('int64', []);
    await scalar.write(BigInt64Array.of(-7n));
    expect(await scalar.read()).toEqual(BigInt64Array.of(-7n));
    const empty = session.allocate('float32', [0, 3]);
    await empty.write(new Float32Array(0));
    expect(await empty.read()).toEqual(new Float32Array(0));
    expect(session.allocateHost('float32', [0]).data).toEqual(new Float32Array(0));
  });

  it('two play ping-pong between two sessions, and nothing else is copied', async () => {
    const [first, second] = [await create(increment), await create(increment)];
    const [even, odd] = [first.allocate('float32', [2]), first.allocate('float32', [2])];
    expect(even.location).toBe(device === 'cpu' ? 'cpu' : 'cuda:0');
    await even.write(Float32Array.of(0, 10));
    const bindings = [first.bind(), second.bind()] as const;
    bindings[0].bindInput('x', even);
    bindings[0].bindOutput('y', odd);
    bindings[1].bindInput('x', odd);
    bindings[1].bindOutput('y', even);
    for (let step = 0; step < 100; step++) await bindings[step % 2 === 0 ? 0 : 1].run();
    expect(await even.read()).toEqual(Float32Array.of(100, 110));
    expect(await odd.read()).toEqual(Float32Array.of(99, 109));
  });

  it('arrays and tensors mix in a binding', async () => {
    const session = await create(increment);
    const tensor = session.allocate('float32', [2]);
    const x = floats(1, 2);
    const binding = session.bind();
    binding.bindInput('x', x);
    binding.bindOutput('y', tensor);
    await binding.run();
    (x.data as Float32Array).set([5, 6]);
    expect(await tensor.read()).toEqual(Float32Array.of(2, 3));
    await binding.run();
    expect(await tensor.read()).toEqual(Float32Array.of(6, 7));
    const y = floats(0, 0);
    binding.bindInput('x', tensor);
    binding.bindOutput('y', y);
    await binding.run();
    expect(y.data).toEqual(Float32Array.of(7, 8));
  });

  it('memory of the host is an array like any other', async () => {
    const session = await create(increment);
    const x = session.allocateHost('float32', [3]);
    const y = session.allocateHost('float32', [3]);
    const binding = session.bind();
    binding.bindInput('x', x);
    binding.bindOutput('y', y);
    for (const value of [1, 2]) {
      (x.data as Float32Array).fill(value);
      await binding.run();
      expect(y.data).toEqual(new Float32Array(3).fill(value + 1));
    }
    x.close();
    x.close();
    expect(x.data.length).toBe(0);
    expect((await failureOf('RUNTIME', () => binding.run())).message).toContain('3 elements, the array 0');
  });

  it('what does not fit is refused in one line', async () => {
    const session = await create(increment);
    const tensor = session.allocate('float32', [2]);
    const binding = session.bind();
    for (const [action, message] of [
      [() => tensor.write(Int32Array.of(1, 2)), 'the data of a float32 tensor is a Int32Array, not a Float32Array'],
      [() => tensor.write(Float32Array.of(1)), 'shape [2] has 2 elements, the array 1'],
      [() => tensor.read(new Float32Array(3)), 'shape [2] has 2 elements, the array 3'],
      [() => session.allocate('float32', [2, -1]), 'shape [2, ?] holds something that is not a size'],
      [() => session.allocateHost('float32', [1.5]), 'shape [1.5] holds something that is not a size'],
      [
        () => {
          binding.bindInput('x', session.allocate('float32', [1, 2]));
        },
        "shape is [1, 2], the model needs [?]; input 'x'",
      ],
      [
        () => {
          binding.bindOutput('y', session.allocate('int32', [2]));
        },
        "element type is int32, the model needs float32; output 'y'",
      ],
      [() => session.allocate('float32', [2 ** 44]), /alloc|size/i],
    ] as const) {
      const { message: line } = await failureOf('RUNTIME', action);
      if (typeof message === 'string') expect(line).toContain(message);
      else expect(line).toMatch(message);
      expect(line).not.toContain('\n');
    }
  });

  it('a closed tensor is refused, and so are those of a closed session', async () => {
    const [session, other] = [await create(increment), await create(increment)];
    const [closed, orphan] = [session.allocate('float32', [2]), other.allocate('float32', [2])];
    const binding = session.bind();
    binding.bindInput('x', orphan);
    binding.bindOutput('y', closed);
    closed.close();
    closed.close();
    expect((await failureOf('RUNTIME', () => binding.run())).message).toBe("the tensor is closed; output 'y'");
    await other.close();
    expect(orphan.isClosed).toBe(true);
    for (const tensor of [closed, orphan]) {
      expect((await failureOf('RUNTIME', () => tensor.read())).message).toBe('the tensor is closed');
      await failureOf('RUNTIME', () => tensor.write(Float32Array.of(1, 2)));
      await failureOf('RUNTIME', () => {
        binding.bindInput('x', tensor);
      });
    }
    expect((await failureOf('RUNTIME', () => other.allocate('float32', [1]))).message).toBe('the session is closed');
    binding.bindInput('x', floats(1, 2));
    const y = floats(0, 0);
    binding.bindOutput('y', y);
    await binding.run();
    expect(y.data).toEqual(Float32Array.of(2, 3));
  });

  it('a tensor of another library is refused', async () => {
    // The same file under another path is loaded as another library.
    const { copyFileSync, mkdtempSync, rmSync } = await import('node:fs');
    const { tmpdir } = await import('node:os');
    const path = await import('node:path');
    const folder = mkdtempSync(path.join(tmpdir(), 'lowrank-library-'));
    const library = path.join(folder, path.basename(driver.library));
    copyFileSync(driver.library, library);
    try {
      const stranger = await loadDriver({ driver: 'c-api', library });
      const foreign = await stranger.createSession(increment);
      const session = await driver.createSession(increment);
      const binding = session.bind();
      const failure = await failureOf('RUNTIME', () => {
        binding.bindInput('x', foreign.allocate('float32', [2]));
      });
      expect(failure.message).toContain('the tensor belongs to another onnxruntime library');
      await foreign.close();
      await session.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('a session says where each of its nodes runs', async () => {
    const session = await create(increment, { recordPlacement: true });
    expect(session.placement).toMatchObject([
      { provider: device === 'cpu' ? 'CPUExecutionProvider' : 'CUDAExecutionProvider', operator: 'Add' },
    ]);
    const silent = await create(increment, { recordPlacement: false });
    expect(silent.placement).toBeUndefined();
  });

  it('closing gives the memory back', async () => {
    const session = await create(unaryModel('Neg', 'float32', ['n']), { memoryArena: false });
    const count = 2 ** 22; // 16 MiB
    const data = new Float32Array(count);
    const fill = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        const tensor = session.allocate('float32', [count]);
        await tensor.write(data);
        tensor.close();
      }
    };
    await fill(5);
    const before = process.memoryUsage.rss();
    await fill(50);
    // 800 MiB if they stayed; the allowance is what the allocator may keep, and what other files of the process still do.
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(400);
  });
});

it('the JavaScript driver says that it has none, and what does', async () => {
  const session = await (await loadDriver({ driver: 'javascript' })).createSession(increment);
  for (const make of [() => session.allocate('float32', [1]), () => session.allocateHost('float32', [1])]) {
    const failure = await failureOf('UNSUPPORTED', make);
    expect(failure.message).toContain('the JavaScript driver cannot keep tensors on a device');
    expect(failure.message).toContain('LOWRANK_DRIVER=c-api');
  }
  await session.close();
});
