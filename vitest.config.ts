import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    // onnxruntime uses both cores itself; more than two forks only contend.
    pool: 'forks',
    maxWorkers: 2,
  },
});
