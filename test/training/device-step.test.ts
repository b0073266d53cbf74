import { beforeAll, describe, expect, it } from 'vitest';
import { create } from '../../models/index.js';
import { modelBytes } from '../../src/graph/write.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { misplaced } from '../../src/runtime/placement.js';
import type { Driver, Session } from '../../src/runtime/types.js';
import { compareDeviceStep, diagnoseTraining } from '../../src/training/device-step.js';
import { requirePlacement } from '../../src/training/placement.js';
import { failureOf } from '../support/errors.js';
import { gemmChain } from '../support/models.js';

const model = modelBytes(create('resnet8_cifar'));
let driver: Driver;
beforeAll(async () => {
  driver = await loadDriver({ driver: 'c-api' });
});

describe('training on a device against the CPU', () => {
  it('on the CPU itself, with its state on the device, gives the same bits', async () => {
    const step = await compareDeviceStep(model, driver, { device: 'cpu' });
    expect(step).toMatchObject({ difference: 0, notes: [] });
    expect(step.loss.device).toBe(step.loss.cpu);
    expect(step.loss.cpu).toBeGreaterThan(0);
    expect(await diagnoseTraining(model, driver, 'cpu')).toMatchObject({ name: 'training on cpu', status: 'ok' });
  });

  it('says what is missing where there is no device', async ({ skip }) => {
    const line = await diagnoseTraining(model, driver, 'cuda');
    if (line.status !== 'missing') skip('this machine has CUDA');
    expect(line.fact).toMatch(/CUDA cannot be used/);
    expect(line.remedy).toMatch(/\w/);
  });
});

describe('nodes that do not run on the device', () => {
  let session: Session;
  beforeAll(async () => {
    session = await driver.createSession(gemmChain(50), { recordPlacement: true, graphOptimization: 'disabled' });
    return async () => {
      await session.close();
    };
  });

  it('are all named, by what onnxruntime says of a session', () => {
    expect(misplaced(session, 'cpu', 'the gradient graph')).toBeUndefined();
    // The same session, asked as if it had been made for CUDA: every node is on the CPU.
    const fact = misplaced(session, 'cuda', 'the gradient graph')!;
    const count = session.placement!.length;
    expect(count).toBeGreaterThanOrEqual(50);
    expect(fact).toContain(
      `${count} of ${count} nodes of the gradient graph run on the CPU, not on cuda: MatMul ×${count}`,
    );
    const placement = ['a', 'b', ''].map((name) => ({ provider: 'CPUExecutionProvider', operator: 'Equal', name }));
    expect(misplaced({ placement }, 'cuda', 'it')).toContain("Equal ×3 ('a', 'b')");
    expect(misplaced({ placement: undefined }, 'cuda', 'the update graph')).toContain('does not tell');
  });

  it('end a training unless they are allowed', async () => {
    const notes: string[] = [];
    const require = (isAllowed: boolean) => () => {
      requirePlacement(session, 'cuda', 'the gradient graph', isAllowed, (line) => notes.push(line));
    };
    const failure = await failureOf('DEVICE', require(false));
    expect(failure.message).toContain('--allow-cpu-nodes');
    expect(notes).toEqual([]);
    require(true)();
    expect(notes).toEqual([misplaced(session, 'cuda', 'the gradient graph')]);
  });
});
