import { LowrankError, messageOf } from '../../errors.js';
import { API_FUNCTIONS, type ApiName, type ReleaseName, type StatusName } from './functions.js';
import { loadKoffi, type Koffi } from './koffi.js';
import { limiter } from './limit.js';

/** The newest `ORT_API_VERSION` whose table we know, and the oldest onnxruntime 1.x that this driver accepts. */
const NEWEST_API = 24;
const OLDEST_API = 20;

/**
 * Asynchronous calls take threads of libuv's pool (UV_THREADPOOL_SIZE, 4 by default), which files and name look-ups use
 * too: one stays free for those. koffi refuses more than 256 calls at a time; here they wait.
 */
const enqueue = limiter(Math.max(1, (Number(process.env['UV_THREADPOOL_SIZE']) || 4) - 1));

/** What crosses to C: handles and addresses are bigints; a view stands for the address of its first byte. */
export type NativeArgument = bigint | number | string | null | ArrayBufferView;

/** What an OrtStatus says. */
export interface Failure {
  /** `OrtErrorCode`. */
  readonly code: number;
  readonly message: string;
}

interface NativeFunction {
  (...args: readonly NativeArgument[]): unknown;
  readonly async: (...args: readonly unknown[]) => void;
}

/**
 * The C API of one libonnxruntime. A status is always read, copied and released; a handle is owned by whoever created it.
 * Views given to an asynchronous call must be kept referenced by the caller until it is done.
 */
export interface NativeApi {
  /** Absolute path of the library. */
  readonly library: string;
  /** Such as "1.30.0". */
  readonly version: string;
  /** Calls a function; what its status says where it failed. */
  attempt(name: StatusName, ...args: readonly NativeArgument[]): Failure | undefined;
  /** The same on a worker thread. Never rejects for a failed status. */
  attemptAsync(name: StatusName, ...args: readonly NativeArgument[]): Promise<Failure | undefined>;
  /** Calls a function and throws RUNTIME where it failed. */
  call(name: StatusName, ...args: readonly NativeArgument[]): void;
  /** Calls a function whose last parameter receives a pointer: that pointer, 0n for NULL. Throws RUNTIME. */
  create(name: StatusName, ...args: readonly NativeArgument[]): bigint;
  /** Frees a handle; NULL is allowed. */
  release(name: ReleaseName, handle: bigint): void;
  /** The address of the first byte of a view, stable for as long as the view is referenced. */
  address(view: ArrayBufferView): bigint;
  /** Native memory as it is, which must outlive the use of the result. */
  view(address: bigint, bytes: number): ArrayBuffer;
  /** A copy of native memory. */
  copy(address: bigint, bytes: number): ArrayBuffer;
  /** A copy of a NUL-terminated UTF-8 string. */
  text(address: bigint): string;
}

/** Loads a libonnxruntime. Throws RUNTIME where it cannot be loaded, is no onnxruntime or is too old. */
export async function loadApi(library: string): Promise<NativeApi> {
  const koffi = await loadKoffi();
  const { version, table } = openTable(koffi, library);
  const functions = new Map<ApiName, NativeFunction>();
  const native = (name: ApiName): NativeFunction => {
    const known = functions.get(name);
    if (known !== undefined) return known;
    const [position, prototype] = API_FUNCTIONS[name];
    const entry = koffi.decode(table, position * koffi.sizeof('void *'), 'void *') as bigint;
    const bound = koffi.decode(entry, koffi.proto(nativePrototype(prototype))) as NativeFunction;
    functions.set(name, bound);
    return bound;
  };

  const takeFailure = (status: unknown): Failure | undefined => {
    if (typeof status !== 'bigint') return undefined;
    const code = Number(native('GetErrorCode')(status));
    const message = String(native('GetErrorMessage')(status));
    native('ReleaseStatus')(status);
    return { code, message };
  };
  const attempt: NativeApi['attempt'] = (name, ...args) => takeFailure(native(name)(...args));
  const onWorkerThread = (name: StatusName, args: readonly NativeArgument[]): Promise<Failure | undefined> =>
    new Promise((resolve, reject) => {
      native(name).async(...args, (error: unknown, status: unknown) => {
        if (error !== null) reject(new LowrankError('INTERNAL', `${name}: ${messageOf(error)}`, { cause: error }));
        else resolve(takeFailure(status));
      });
    });
  const call: NativeApi['call'] = (name, ...args) => {
    const failure = attempt(name, ...args);
    if (failure !== undefined) throw new LowrankError('RUNTIME', failure.message, { place: `in ${name}` });
  };
  return {
    library,
    version,
    attempt,
    call,
    attemptAsync: (name, ...args) => enqueue(() => onWorkerThread(name, args)),
    create: (name, ...args) => {
      const slot = new BigUint64Array(1);
      call(name, ...args, slot);
      return slot[0] ?? 0n;
    },
    release: (name, handle) => {
      if (handle !== 0n) native(name)(handle);
    },
    address: (view) => koffi.address(view),
    view: (address, bytes) => (bytes === 0 ? new ArrayBuffer(0) : koffi.view(address, bytes)),
    copy: (address, bytes) => (bytes === 0 ? new ArrayBuffer(0) : koffi.view(address, bytes).slice(0)),
    text: (address) => koffi.decode.string(address),
  };
}

/** `path` in a prototype is ORTCHAR_T. */
function nativePrototype(prototype: string): string {
  return prototype.replaceAll(/\bpath /g, process.platform === 'win32' ? 'const char16_t *' : 'const char *');
}

function openTable(koffi: Koffi, library: string): { readonly version: string; readonly table: bigint } {
  const getApiBase = loadBase(koffi, library);
  // struct OrtApiBase { const OrtApi *(*GetApi)(uint32_t); const char *(*GetVersionString)(void); }
  const [getApi, getVersion] = koffi.decode(getApiBase(), 'void *', 2) as [bigint, bigint];
  const version = String(koffi.call(getVersion, koffi.proto('const char *()')));
  // Version 1.n provides the tables 1 to n; asking for a newer one makes the library print to stderr.
  const minor = Number(/^1\.(\d+)\./.exec(version)?.[1] ?? Number.NaN);
  if (!(minor >= OLDEST_API)) {
    throw new LowrankError('RUNTIME', `onnxruntime ${version} is too old`, {
      place: library,
      remedy: `use 1.${OLDEST_API} or newer`,
    });
  }
  const api: unknown = koffi.call(getApi, koffi.proto('void *(uint32_t version)'), Math.min(minor, NEWEST_API));
  if (typeof api !== 'bigint') {
    throw new LowrankError('RUNTIME', `onnxruntime ${version} refuses API version ${Math.min(minor, NEWEST_API)}`, {
      place: library,
    });
  }
  return { version, table: api };
}

/** koffi unloads a library with its last reference; one whose threads still run must stay. */
const loaded: unknown[] = [];

function loadBase(koffi: Koffi, library: string): () => bigint {
  try {
    const handle = koffi.load(library);
    loaded.push(handle);
    return handle.func('OrtGetApiBase', 'void *', []) as () => bigint;
  } catch (error) {
    throw new LowrankError('RUNTIME', `cannot load this onnxruntime library: ${messageOf(error)}`, {
      place: library,
      cause: error,
    });
  }
}
