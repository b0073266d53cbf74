import { defineConfig } from 'vitest/config';

/**
 * One process runs many files, but for those that change it: TensorFlow.js keeps one backend, and errors name fields where the
 * library was imported, schemes that a test adds stay.
 */
const alone = [
  'test/linalg/tensorflow*.test.ts',
  'test/factorize/sampled/tensorflow.test.ts',
  'test/library-words.test.ts',
  'test/rewrite/three-factors.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 120_000,
    // onnxruntime uses both cores itself; more than two forks only contend.
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      // A new process for each file would import everything 230 times.
      { extends: true, test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: alone, isolate: false } },
      { extends: true, test: { name: 'alone', include: alone } },
    ],
  },
});
