/** The one interface over both onnxruntime drivers (C API through koffi, and onnxruntime-node's JavaScript API). */

/** Element types that cross the runtime boundary, by their ONNX names in lower case. */
export type ElementType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool';

/** float16 and bfloat16 are their bit patterns in a Uint16Array; bool is one byte each. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A dense row-major tensor in CPU memory. `data.length` is the product of `dims`. */
export interface RuntimeTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

export type Device = 'cpu' | 'cuda' | 'webgpu';

export interface CudaOptions {
  readonly deviceId?: number;
  readonly preferNhwc?: boolean;
  readonly useTf32?: boolean;
  readonly cudnnConvAlgoSearch?: 'EXHAUSTIVE' | 'HEURISTIC' | 'DEFAULT';
  readonly enableCudaGraph?: boolean;
  /** Bytes. */
  readonly gpuMemLimit?: number;
}

export interface SessionOptions {
  readonly device?: Device;
  readonly cuda?: CudaOptions;
  /** Threads of one operator. Default: the cores this process may use. */
  readonly threads?: number;
  /** `enable_mem_pattern`; default false (the training step needs half the memory without it). */
  readonly memoryPattern?: boolean;
  /** `enable_cpu_mem_arena`; default true: the session keeps what memory its runs ever needed, for the next ones. */
  readonly memoryArena?: boolean;
  /**
   * CPU memory comes from one arena for all sessions of the process that ask for it, which the process keeps: for sessions
   * that take turns, as the two of a training step do. Default false. The JavaScript driver cannot share: there it changes
   * nothing.
   */
  readonly sharedArena?: boolean;
  readonly graphOptimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** Raw `AddSessionConfigEntry` pairs. */
  readonly config?: Readonly<Record<string, string>>;
  /** Where the external data of a model given as bytes lies. */
  readonly externalDataFolder?: string;
  /** Write a profile with this prefix; `Session.close` returns its path. */
  readonly profilePrefix?: string;
}

export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType | 'string' | 'other';
  /** −1 where the model leaves a dimension open. */
  readonly dims: readonly number[];
}

export interface RunOptions {
  /**
   * Ends the run early with ABORTED: between two operators in the C API (`RunOptionsSetTerminate`), before the run in the
   * JavaScript driver.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface Session {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /**
   * Runs without blocking the event loop where the driver can. `outputNames` defaults to all. Outputs are fresh arrays.
   * Throws RUNTIME (feeds that do not fit, a failed operator, a closed session), UNSUPPORTED (string, sequence, map and
   * sub-byte values) or ABORTED.
   */
  run(
    feeds: Readonly<Record<string, RuntimeTensor>>,
    outputNames?: readonly string[],
    options?: RunOptions,
  ): Promise<Record<string, RuntimeTensor>>;
  /** Buffers bound once and used by many runs. */
  bind(): Binding;
  /**
   * Waits for runs in flight, closes the bindings and frees native memory. Resolves to the path of the profile if one
   * was asked for. A second call does nothing.
   */
  close(): Promise<string | undefined>;
}

/**
 * Fixed inputs and outputs of a session. Bound CPU tensors are used in place on the CPU (a session on another device
 * copies them at each run). One run at a time: a run, bind or close during a run of the same binding throws RUNTIME.
 */
export interface Binding {
  /** Binds the memory of `tensor` as an input; later runs read whatever the array holds then. */
  bindInput(name: string, tensor: RuntimeTensor): void;
  /** Binds the memory of `tensor` as an output; runs write into it. Outputs that are not bound are not computed. */
  bindOutput(name: string, tensor: RuntimeTensor): void;
  /** Throws RUNTIME (an input is not bound, shapes that do not fit, a closed session) or ABORTED. */
  run(options?: RunOptions): Promise<void>;
  /** A second call does nothing. */
  close(): void;
}

export type DriverName = 'c-api' | 'javascript';

export interface Driver {
  readonly name: DriverName;
  /** onnxruntime's version, such as "1.30.0". */
  readonly version: string;
  /** The path of the native library. */
  readonly library: string;
  /** Why the JavaScript driver stands in for the C API; callers print it. undefined where the driver was asked for. */
  readonly fallbackReason?: string | undefined;
  /** Execution providers this build knows, by onnxruntime's names. */
  readonly providers: readonly string[];
  /**
   * `model` is a path or the bytes of a model. Throws INPUT (no such file), RUNTIME (onnxruntime refuses the model),
   * UNSUPPORTED (a setting this driver lacks) or DEVICE (no such provider); never falls back to another device.
   */
  createSession(model: string | Uint8Array, options?: SessionOptions): Promise<Session>;
}
