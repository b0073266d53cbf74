import { describe, expect, it } from 'vitest';
import { createAdmission } from '../../src/linalg/admission.js';
import { failureOf } from '../support/errors.js';

/** A task that ends when told to. */
function gate(): { readonly task: () => Promise<string>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { task: () => opened.then(() => 'done'), open: () => open() };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('createAdmission', () => {
  it('bounds number and size, in order, and lets a task that is too large run alone', async () => {
    const admission = createAdmission(2, 10);
    const started: number[] = [];
    const gates = [4, 5, 1, 100, 3].map((size, index) => {
      const { task, open } = gate();
      const result = admission.run(size, undefined, () => {
        started.push(index);
        return task();
      });
      return { result, open };
    });
    await settle();
    expect(started).toEqual([0, 1]);
    gates[0]!.open();
    await gates[0]!.result;
    await settle();
    expect(started).toEqual([0, 1, 2]);
    gates[1]!.open();
    await settle();
    // The large one waits for the third, and the small one behind it does not overtake.
    expect(started).toEqual([0, 1, 2]);
    gates[2]!.open();
    await settle();
    expect(started).toEqual([0, 1, 2, 3]);
    gates[3]!.open();
    await settle();
    expect(started).toEqual([0, 1, 2, 3, 4]);
    gates[4]!.open();
    expect(await Promise.all(gates.map(({ result }) => result))).toEqual(Array.from({ length: 5 }, () => 'done'));
  });

  it('frees the room of a task that fails, and of one that is aborted while it waits', async () => {
    const admission = createAdmission(1, 10);
    await expect(admission.run(1, undefined, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const first = gate();
    const running = admission.run(1, undefined, first.task);
    const controller = new AbortController();
    const waiting = failureOf('ABORTED', () => admission.run(1, controller.signal, () => Promise.resolve('never')));
    const last = admission.run(1, undefined, () => Promise.resolve('last'));
    controller.abort();
    await waiting;
    first.open();
    expect(await running).toBe('done');
    expect(await last).toBe('last');
  });
});
