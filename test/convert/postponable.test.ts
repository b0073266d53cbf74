import { describe, expect, it } from 'vitest';
import { postponable } from '../../src/convert/postponable.js';
import { isSaving } from '../../src/files/saving.js';

describe('an interruption that can be put off', () => {
  it('comes through, with its reason, until it is put off', () => {
    const asked = new AbortController();
    const { signal, close } = postponable(asked.signal);
    expect(signal.aborted).toBe(false);
    asked.abort('why');
    expect(signal).toMatchObject({ aborted: true, reason: 'why' });
    expect(postponable(asked.signal).signal.aborted).toBe(true);
    close();
    expect(isSaving()).toBe(false);
  });

  it('waits from then on: there is something to save until it is closed', async () => {
    const asked = new AbortController();
    const { signal, postpone, close } = postponable(asked.signal);
    postpone();
    postpone();
    expect(isSaving()).toBe(true);
    asked.abort();
    expect(signal.aborted).toBe(false);
    close();
    await new Promise(setImmediate);
    expect(isSaving()).toBe(false);
  });
});
