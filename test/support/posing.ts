import type { Driver } from '../../src/runtime/types.js';

/**
 * A driver whose sessions for CUDA are real ones on the CPU that tell where their nodes run: what a program does where a GPU
 * leaves nodes to the CPU, on a machine without one.
 */
export function posingAsCuda(driver: Driver): Driver {
  return {
    ...driver,
    createSession: (model, options = {}) => {
      if (options.device !== 'cuda') return driver.createSession(model, options);
      const others = Object.entries(options).filter(([name]) => name !== 'device' && name !== 'cuda');
      return driver.createSession(model, { ...Object.fromEntries(others), recordPlacement: true });
    },
  };
}
