import { createRequire } from 'node:module';
import { LowrankError, messageOf, type ErrorDetails } from '../errors.js';
import type { TensorFlowApi } from './tensorflow-api.js';

/** TensorFlow.js with one of its backends running. */
export interface TensorFlow {
  readonly tf: TensorFlowApi;
  /** The npm package of the backend, and its version. */
  readonly package: string;
  readonly version: string;
  /** TensorFlow.js's name of the backend: `tensorflow`, `wasm`, `cpu`. */
  readonly backend: string;
  readonly device: 'cpu' | 'gpu';
  /** Packages that stand before it in the order and are installed, but do not load; with the reason. */
  readonly unusable: readonly string[];
}

/** A package that brings a backend. */
interface Candidate {
  readonly name: string;
  readonly backend: string;
}

/** The package whose exports are TensorFlow.js's functions, gradients included; every backend needs it. */
const api = '@tensorflow/tfjs';

/** The order in which they are tried: the fastest first. */
const candidates: readonly Candidate[] = [
  { name: '@tensorflow/tfjs-node-gpu', backend: 'tensorflow' },
  { name: '@tensorflow/tfjs-node', backend: 'tensorflow' },
  { name: '@tensorflow/tfjs-backend-wasm', backend: 'wasm' },
  { name: '@tensorflow/tfjs-backend-cpu', backend: 'cpu' },
];

/** TensorFlow.js keeps one engine a process: so do we. */
let loading: Promise<TensorFlow> | undefined;

/**
 * The first backend of TensorFlow.js that is installed and loads: on a GPU, native, WebAssembly, plain JavaScript.
 * LOWRANK_TFJS names the one package that is wanted. Nothing is loaded before the first call; all calls share one engine.
 * Throws USAGE (LOWRANK_TFJS names none of them) or RUNTIME (none is installed, or none loads).
 */
export async function loadTensorFlow(): Promise<TensorFlow> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<TensorFlow> {
  const unusable: string[] = [];
  for (const candidate of wanted()) {
    const path = resolvePackage(candidate.name);
    if (path === undefined) continue;
    try {
      return { ...(await start(candidate, path)), unusable };
    } catch (error) {
      unusable.push(`${candidate.name} is installed but does not load: ${firstSentence(messageOf(error))}`);
    }
  }
  const details: ErrorDetails = {
    remedy:
      unusable.length > 0
        ? 'install the package again where its native library can be had, or install @tensorflow/tfjs-backend-wasm beside @tensorflow/tfjs'
        : 'run npm install @tensorflow/tfjs-node-gpu (NVIDIA), or @tensorflow/tfjs @tensorflow/tfjs-backend-wasm (any machine)',
  };
  const only = chosen();
  const fact = only === undefined ? 'TensorFlow.js is not installed' : `${only} (LOWRANK_TFJS) is not installed`;
  throw new LowrankError('RUNTIME', unusable.length > 0 ? unusable.join('; ') : fact, details);
}

function chosen(): string | undefined {
  const name = process.env['LOWRANK_TFJS'];
  return name === '' ? undefined : name;
}

function wanted(): readonly Candidate[] {
  const name = chosen();
  if (name === undefined) return candidates;
  const only = candidates.filter((candidate) => candidate.name === name);
  if (only.length > 0) return only;
  throw new LowrankError('USAGE', `LOWRANK_TFJS is '${name}'`, {
    remedy: `choose one of ${candidates.map((candidate) => candidate.name).join(', ')}`,
  });
}

/** The file that a package starts from; the parts of `@tensorflow/tfjs` may lie below it. undefined: not installed. */
function resolvePackage(name: string): string | undefined {
  for (const from of [import.meta.url, resolveFrom(import.meta.url, api)]) {
    const path = from === undefined ? undefined : resolveFrom(from, name);
    if (path !== undefined) return path;
  }
  return undefined;
}

function resolveFrom(from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** Throws whatever loading throws. */
async function start({ name, backend }: Candidate, path: string): Promise<Omit<TensorFlow, 'unusable'>> {
  // What native TensorFlow tells about the processor would go to stderr.
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  const require = createRequire(path);
  const tf = silently(() => {
    // The native packages bring theirs.
    const loaded = createRequire(resolveFrom(path, api) === undefined ? import.meta.url : path)(api) as TensorFlowApi;
    // Production mode: no banner, no advice on the console.
    loaded.env().set('PROD', true);
    require(path);
    return loaded;
  });
  if (!(await tf.setBackend(backend))) throw new Error(`its backend '${backend}' does not start`);
  const { isUsingGpuDevice } = tf.backend() as { readonly isUsingGpuDevice?: boolean };
  const { version } = require(`${name}/package.json`) as { readonly version: string };
  return { tf, package: name, version, backend, device: isUsingGpuDevice === true ? 'gpu' : 'cpu' };
}

/**
 * Runs `task`, which is synchronous, without what it would write to the console: stdout holds results alone. Deprecations
 * of Node's that its packages use are not the user's.
 */
function silently<T>(task: () => T): T {
  const methods = ['log', 'info', 'warn', 'error'] as const;
  const saved = methods.map((method) => console[method]);
  const { noDeprecation = false } = process;
  process.noDeprecation = true;
  for (const method of methods) console[method] = () => undefined;
  try {
    return task();
  } finally {
    process.noDeprecation = noDeprecation;
    for (const [index, method] of methods.entries()) console[method] = saved[index]!;
  }
}

/** Messages of loaders run over several lines and name paths; the first sentence says what is wrong. */
function firstSentence(text: string): string {
  return /^.*?[.](?=\s|$)/.exec(text)?.[0] ?? text;
}
