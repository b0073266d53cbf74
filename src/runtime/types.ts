import type { RunLimits } from '../limits.js';

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

/**
 * A tensor in the memory of a session's device (`Session.allocate`): bound in place by all sessions of the same library on
 * that device. Its contents are not defined before they are written. It ends with the session that it came from.
 */
export interface DeviceTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Such as "cpu" or "cuda:0". */
  readonly location: string;
  readonly isClosed: boolean;
  /**
   * Copies an array, or another tensor of the device, into it. Throws RUNTIME (another type or number of elements, a closed
   * tensor, another device).
   */
  write(source: TensorData | DeviceTensor): Promise<void>;
  /** Its elements, in a new array or in `target`, which is then the result. Throws RUNTIME. */
  read(target?: TensorData): Promise<TensorData>;
  /** Frees the memory, once no binding uses it any more. A second call does nothing. */
  close(): void;
}

/**
 * A tensor in CPU memory that belongs to a session (`Session.allocateHost`): page-locked where the device is CUDA, which
 * copies from it at the full speed of the bus. `data` is empty once it is closed, or its session.
 */
export interface HostTensor extends RuntimeTensor {
  /** A second call does nothing. */
  close(): void;
}

export type BoundTensor = RuntimeTensor | DeviceTensor;

export type Device = 'cpu' | 'cuda' | 'webgpu';

export interface CudaOptions {
  readonly deviceId?: number;
  readonly preferNhwc?: boolean;
  readonly useTf32?: boolean;
  readonly cudnnConvAlgoSearch?: 'EXHAUSTIVE' | 'HEURISTIC' | 'DEFAULT';
  /** Bytes. */
  readonly gpuMemLimit?: number;
}

export interface SessionOptions {
  readonly device?: Device;
  /** For those who make sessions of a user's model (`requireMemory`, `withinLimits`): the drivers look at none of it. */
  readonly limits?: RunLimits;
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
  /**
   * Runs of bindings are recorded and replayed where the device can (CUDA graphs), all on one thread of their own. Bindings
   * then take tensors of the device alone: what is replayed reads and writes the addresses that it was recorded with. The
   * first run of a binding, and the first after something was bound, does its work twice: no input may be an output. While
   * it lasts, nothing else may use the device. On the CPU nothing is recorded; the rules are the same. Default false. The
   * JavaScript driver cannot.
   */
  readonly capture?: boolean;
  /** Whether `Session.placement` is asked for; default: on every device but the CPU. */
  readonly recordPlacement?: boolean;
}

export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType | 'string' | 'other';
  /** −1 where the model leaves a dimension open. */
  readonly dims: readonly number[];
}

/** A node of a graph and the execution provider that runs it, by onnxruntime's name. */
export interface PlacedNode {
  readonly provider: string;
  /** May be empty. */
  readonly name: string;
  readonly operator: string;
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
   * Where each node runs; undefined where that was not asked for (`SessionOptions.recordPlacement`), or the driver or an
   * onnxruntime before 1.24 cannot tell.
   */
  readonly placement: readonly PlacedNode[] | undefined;
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
   * Memory of the session's device. Throws RUNTIME (no memory is left, dims that are no sizes, a closed session), or
   * UNSUPPORTED where the driver or the device has none to give.
   */
  allocate(type: ElementType, dims: readonly number[]): DeviceTensor;
  /** CPU memory that the session's device copies from and to at full speed. Throws as `allocate`. */
  allocateHost(type: ElementType, dims: readonly number[]): HostTensor;
  /**
   * Waits for runs in flight, closes the bindings and frees native memory. Resolves to the path of the profile if one
   * was asked for. A second call does nothing.
   */
  close(): Promise<string | undefined>;
}

/**
 * Fixed inputs and outputs of a session. Tensors of its device are used in place; on the CPU, so are arrays (a session on
 * another device copies them at each run). One run at a time: a run, bind or close during a run of the same binding throws
 * RUNTIME.
 */
export interface Binding {
  /**
   * Binds the memory of `tensor` as an input; later runs read whatever it holds then. Throws RUNTIME where it does not
   * fit, is closed, or lies on another device.
   */
  bindInput(name: string, tensor: BoundTensor): void;
  /** Binds the memory of `tensor` as an output; runs write into it. Outputs that are not bound are not computed. */
  bindOutput(name: string, tensor: BoundTensor): void;
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
