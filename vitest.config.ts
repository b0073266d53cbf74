import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    // onnxruntime uses both cores itself; more than two forks only contend.
    pool: 'forks',
    // A new process for each file would import everything 230 times.
    isolate: false,
    maxWorkers: 2,
  },
});
