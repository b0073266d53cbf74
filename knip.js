// Started by their names, or by bin/ out of dist/.
const started = [
  'src/cli/lowrank.ts',
  'src/data/worker.ts',
  'src/linalg/dense/worker.ts',
  'src/runtime/c-api/run-worker.ts',
];
const benches = ['bench/*.ts', 'bench/gpu/*.ts', 'bench/support/*-worker.ts', 'bench/support/decode-epoch.ts'];
const beside = [
  'test/cli/support/frame-program.js',
  'test/hostile/reader.js',
  'test/support/standing-{caller,program}.js',
];

/** What --production looks at. */
const shipped = (patterns) => patterns.map((pattern) => `${pattern}!`);

/** What `npm run dead` looks at: nothing is exported that no other file reads; and with --production, which leaves the tests out, nothing is there for tests alone. */
export default ({ production = false }) => ({
  entry: [...shipped(['bin/*.js', 'scripts/*.js', 'scripts/models-table/*.js', ...started, ...benches]), ...beside],
  project: [...shipped(['bin/**/*.js', '{src,models,bench}/**/*.ts', 'scripts/**/*.js']), 'test/**/*.{ts,js}'],
  // Types stand in signatures. Without the tests, what a file exports for them and reads itself is not dead.
  ignoreExportsUsedInFile: production || { interface: true, type: true },
  ignoreBinaries: ['mkfifo', 'mount', 'script', 'umount'],
  // Loaded by its name.
  ignoreDependencies: ['@tensorflow/tfjs-backend-wasm'],
});
