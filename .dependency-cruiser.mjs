// What each room of src may import: nothing else. ARCHITECTURE.md says what they are; test/architecture.test.ts compares the two.
const graphs = ['ops', 'graph', 'onnx', 'files'];
const numbers = ['passes', ...graphs];

/** By room: other rooms, and single files of them by their path. Files that lie in src itself are open to all. */
export const rooms = {
  contracts: [],
  files: [],
  onnx: ['files'],
  graph: ['onnx', 'files'],
  ops: ['graph', 'onnx', 'files'],
  passes: [...graphs, 'runtime/types'],
  autodiff: graphs,
  lower: ['autodiff', ...numbers, 'runtime/types'],
  runtime: ['onnx', 'files'],
  linalg: ['runtime', 'onnx', 'files'],
  data: ['files', 'runtime/turbojpeg'],
  report: ['contracts'],
  rewrite: [...numbers, 'runtime', 'linalg/types', 'contracts'],
  merge: ['rewrite', ...numbers, 'runtime', 'linalg', 'contracts'],
  factorize: ['rewrite', 'autodiff', ...numbers, 'runtime', 'linalg', 'contracts'],
  inspect: ['factorize', 'rewrite', ...numbers, 'runtime', 'linalg', 'contracts'],
  images: ['data', 'rewrite', 'autodiff', ...numbers, 'runtime/types', 'contracts', 'factorize/calibration/types'],
  evaluate: ['images', 'data', 'rewrite', ...numbers, 'runtime', 'contracts'],
  step: [
    'lower',
    'autodiff',
    'rewrite',
    ...numbers,
    'contracts',
    'images/image-settings',
    'data/class-list',
    'data/normalize',
  ],
  training: [
    'step',
    'evaluate',
    'images',
    'data',
    'lower',
    'rewrite',
    ...numbers,
    'runtime',
    'contracts',
    'report',
    'factorize/calibration/types',
  ],
  recover: ['training', 'step', 'images', 'data', 'lower', 'rewrite', ...numbers, 'runtime', 'contracts', 'report'],
  artifacts: ['training', 'step', 'images', 'data', 'lower', 'rewrite', ...numbers, 'runtime', 'contracts', 'report'],
  convert: [
    'recover',
    'training',
    'evaluate',
    'images',
    'step',
    'factorize',
    'rewrite',
    'data',
    'lower',
    'autodiff',
    ...numbers,
    'runtime',
    'linalg',
    'contracts',
    'report',
  ],
  compare: [
    'convert',
    'evaluate',
    'images',
    'factorize',
    'rewrite',
    'data',
    ...numbers,
    'runtime',
    'linalg',
    'contracts',
    'report',
  ],
  study: [
    'convert',
    'training',
    'step',
    'images',
    'factorize',
    'rewrite',
    'data',
    ...numbers,
    'runtime',
    'contracts',
    'report',
    '../models',
  ],
};

const within = (room) => {
  const paths = [room, ...rooms[room]].map((path) => (path.startsWith('../') ? path.slice(3) : `src/${path}`));
  return `^(${paths.join('|')})(/|\\.ts$)`;
};

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'only-runtime-loads-engines',
      severity: 'error',
      from: { pathNot: '^src/runtime/' },
      to: { path: 'node_modules/(onnxruntime-node|koffi|@tensorflow)/' },
    },
    ...Object.keys(rooms).map((room) => ({
      name: room,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^(src/[^/]+|models)/', pathNot: within(room) },
    })),
    {
      name: 'files-of-no-room',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$', pathNot: '^src/index\\.ts$' },
      to: { path: '^(src/[^/]+|models)/' },
    },
    {
      name: 'models',
      severity: 'error',
      from: { path: '^models/' },
      to: { path: '^src/[^/]+/', pathNot: '^src/(graph|onnx|files)/' },
    },
    {
      name: 'every-room-is-listed',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(rooms).join('|')}|cli)/` },
      to: {},
    },
    { name: 'nothing-imports-cli', severity: 'error', from: { pathNot: '^(src/cli|bin)/' }, to: { path: '^src/cli/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules|^dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
    moduleSystems: ['es6', 'cjs'],
  },
};
