import { expect } from 'vitest';
import { LowrankError, type ErrorCode } from '../../src/errors.js';

/** The LowrankError of an action that must fail with `code`, on one line. */
export async function failureOf(code: ErrorCode, action: () => unknown): Promise<LowrankError> {
  let thrown: unknown;
  try {
    await action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(LowrankError);
  const failure = thrown as LowrankError;
  expect({ code: failure.code, message: failure.message }).toMatchObject({ code });
  expect(failure.message).not.toMatch(/[\r\n]/);
  return failure;
}
