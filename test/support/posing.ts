import type { Driver } from '../../src/runtime/types.js';

/**
 * A driver whose sessions for CUDA are real ones on the CPU that tell where their nodes run: what a program does where a GPU
 * leaves nodes to the CPU, on a machine without one.
 */
export function posingAsCuda(driver: Driver): Driver {
  return {
    ...driver,
    createSession: (model, { device, cuda, ...options } = {}) =>
      driver.createSession(model, device === 'cuda' ? { ...options, recordPlacement: true } : { ...options }),
  };
}
