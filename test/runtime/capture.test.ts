import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadDriver } from '../../src/runtime/driver.js';
import { isLoadable } from '../../src/runtime/loader.js';
import type { Driver, Session } from '../../src/runtime/types.js';
import { failureOf } from '../support/errors.js';
import { buildModel } from '../support/models.js';

/** y = x + 1 and z = x · [x0, x1], float32 [n]: z only where n is 2. */
const model = buildModel({
  inputs: [{ name: 'x', dims: ['n'] }],
  outputs: [
    { name: 'y', dims: ['n'] },
    { name: 'z', dims: ['n'] },
  ],
  initializers: [
    { name: 'one', dims: [], data: Float32Array.of(1) },
    { name: 'pair', dims: [2], data: Float32Array.of(10, 100) },
  ],
  nodes: [
    { op: 'Add', inputs: ['x', 'one'], outputs: ['y'] },
    { op: 'Mul', inputs: ['x', 'pair'], outputs: ['z'] },
  ],
});

/** The same code on every device that this machine has. */
const devices = (await isLoadable('libcuda.so.1')) ? (['cpu', 'cuda'] as const) : (['cpu'] as const);

describe.each(devices)('a session on %s that records its runs', (device) => {
  let driver: Driver;
  let session: Session;
  let owner: Session;
  const open: Session[] = [];
  const start = async (capture: boolean): Promise<Session> => {
    const started = await driver.createSession(model, { device, capture });
    open.push(started);
    return started;
  };
  beforeAll(async () => {
    driver = await loadDriver({ driver: 'c-api' });
    owner = await start(false);
    session = await start(true);
  });
  afterAll(async () => {
    for (const each of open) await each.close();
  });

  it('reads at each run what its tensors hold then', async () => {
    const x = owner.allocate('float32', [2]);
    const y = owner.allocate('float32', [2]);
    const binding = session.bind();
    binding.bindInput('x', x);
    binding.bindOutput('y', y);
    for (let i = 0; i < 5; i++) {
      await x.write(Float32Array.of(i, -i));
      await binding.run();
      expect(await y.read()).toEqual(Float32Array.of(i + 1, 1 - i));
    }
    binding.close();
  });

  it('records anew what is bound anew, and several bindings beside each other', async () => {
    const [x0, x1, y0, y1] = Array.from({ length: 4 }, () => owner.allocate('float32', [2]));
    await x0!.write(Float32Array.of(1, 2));
    await x1!.write(x0!);
    await x0!.write(Float32Array.of(3, 4));
    const [first, second] = [session.bind(), session.bind()];
    first.bindInput('x', x0!);
    first.bindOutput('y', y0!);
    second.bindInput('x', x1!);
    second.bindOutput('y', y1!);
    for (let i = 0; i < 3; i++) {
      await first.run();
      await second.run();
      expect([await y0!.read(), await y1!.read()]).toEqual([Float32Array.of(4, 5), Float32Array.of(2, 3)]);
    }
    first.bindOutput('y', y1!);
    await first.run();
    expect(await y1!.read()).toEqual(Float32Array.of(4, 5));
  });

  it('runs without a binding as any other', async () => {
    const x = { type: 'float32', dims: [2], data: Float32Array.of(1, 2) } as const;
    expect((await session.run({ x }))['z']!.data).toEqual(Float32Array.of(10, 200));
  });

  it('takes tensors of its device alone', async () => {
    const binding = session.bind();
    const array = { type: 'float32', dims: [2], data: new Float32Array(2) } as const;
    const failure = await failureOf('RUNTIME', () => binding.bindInput('x', array));
    expect(failure.message).toContain("input 'x'");
    expect(failure.remedy).toContain('Session.allocate');
    await failureOf('RUNTIME', () => binding.bindOutput('y', array));
    binding.close();
  });

  it('a run that fails says why, and the next one runs', async () => {
    const binding = session.bind();
    const wrong = owner.allocate('float32', [3]);
    await wrong.write(new Float32Array(3));
    binding.bindInput('x', wrong);
    const z = owner.allocate('float32', [2]);
    binding.bindOutput('z', z);
    expect((await failureOf('RUNTIME', () => binding.run())).message).toMatch(/Mul/);
    const x = owner.allocate('float32', [2]);
    await x.write(Float32Array.of(1, 1));
    binding.bindInput('x', x);
    await binding.run();
    expect(await z.read()).toEqual(Float32Array.of(10, 100));
    binding.close();
  });

  it('two sessions take turns on its thread, whoever comes first', async () => {
    const other = await start(true);
    const tensors = await Promise.all(
      [session, other].map(async (each, k) => {
        const [x, y] = [owner.allocate('float32', [2]), owner.allocate('float32', [2])];
        await x.write(Float32Array.of(k, 10 * k));
        const binding = each.bind();
        binding.bindInput('x', x);
        binding.bindOutput('y', y);
        return { binding, y };
      }),
    );
    for (let i = 0; i < 4; i++) {
      if (i > 0) await Promise.all(tensors.map(({ binding }) => binding.run()));
      // What is recorded runs alone.
      else for (const { binding } of tensors) await binding.run();
      expect(await tensors[0]!.y.read()).toEqual(Float32Array.of(1, 1));
      expect(await tensors[1]!.y.read()).toEqual(Float32Array.of(2, 11));
    }
  });

  it('an aborted run says so', async () => {
    const binding = session.bind();
    const [x, y] = [owner.allocate('float32', [2]), owner.allocate('float32', [2])];
    await x.write(new Float32Array(2));
    binding.bindInput('x', x);
    binding.bindOutput('y', y);
    await failureOf('ABORTED', () => binding.run({ signal: AbortSignal.abort() }));
    await binding.run();
    expect(await y.read()).toEqual(Float32Array.of(1, 1));
  });
});

describe('recording runs', () => {
  it('is refused where the driver cannot', async () => {
    const driver = await loadDriver({ driver: 'javascript' });
    const failure = await failureOf('UNSUPPORTED', () => driver.createSession(model, { capture: true }));
    expect(failure.remedy).toContain('C-API');
  });
});
