import { LowrankError } from '../../errors.js';
import { checkData, checkDims, closedError } from '../check.js';
import { ELEMENT_TYPES, elementCount } from '../element-type.js';
import type {
  BoundTensor,
  Device,
  DeviceTensor,
  ElementType,
  HostTensor,
  RuntimeTensor,
  SessionOptions,
  TensorData,
} from '../types.js';
import type { NativeApi } from './api.js';
import { lifetime, type Lifetime } from './lifetime.js';

/** Copies the elements of one tensor to another, of which at least one lies on the device. */
export type CopyTensor = (type: ElementType, from: BoundTensor, to: BoundTensor) => Promise<void>;

/** An OrtValue on a device. */
interface NativeTensor {
  readonly api: NativeApi;
  readonly value: bigint;
  readonly lifetime: Lifetime;
}

const natives = new WeakMap<DeviceTensor | HostTensor, NativeTensor>();

/** Of the memory of a tensor that belongs to a session; undefined for other arrays. */
export function lifetimeOf(tensor: BoundTensor): Lifetime | undefined {
  return natives.get(tensor as HostTensor)?.lifetime;
}

/**
 * The OrtValue of a tensor on a device, for a binding of `api`, which retains it for as long as it uses it. Throws RUNTIME
 * for a tensor of another library.
 */
export function nativeTensor(api: NativeApi, tensor: DeviceTensor): NativeTensor {
  const native = natives.get(tensor);
  if (native !== undefined && native.api.library === api.library) return native;
  throw new LowrankError('RUNTIME', 'the tensor belongs to another onnxruntime library', { place: api.library });
}

const ORT_DEVICE_ALLOCATOR = 0;
const ORT_MEMORY_TYPE_DEFAULT = 0;
const ORT_MEMORY_TYPE_CPU_OUTPUT = -1;

/** onnxruntime's names of the memories of a device. */
const MEMORY_NAMES: Readonly<Partial<Record<Device, { readonly device: string; readonly host: string }>>> = {
  cpu: { device: 'Cpu', host: 'Cpu' },
  cuda: { device: 'Cuda', host: 'CudaPinned' },
};

/** Such as "cpu" or "cuda:0". */
export function locationOf({ device = 'cpu', cuda }: SessionOptions): string {
  return device === 'cuda' ? `cuda:${cuda?.deviceId ?? 0}` : device;
}

/** The tensors of a session. */
export interface SessionTensors {
  readonly location: string;
  allocate(type: ElementType, dims: readonly number[]): DeviceTensor;
  allocateHost(type: ElementType, dims: readonly number[]): HostTensor;
  /** Closes all tensors. The memory of those that bindings use stays until these let go. */
  close(): void;
}

type MemoryKind = 'device' | 'host';

interface Allocator {
  readonly handle: bigint;
  readonly lifetime: Lifetime;
}

/** The allocators of a session, each made when it is first asked for. */
function sessionAllocators(
  api: NativeApi,
  session: bigint,
  { device = 'cpu', cuda }: SessionOptions,
  owner: Lifetime,
): { of(kind: MemoryKind): Allocator; release(): void } {
  const allocators = new Map<MemoryKind, Allocator>();
  const make = (kind: MemoryKind): Allocator => {
    const name = MEMORY_NAMES[device]?.[kind];
    if (name === undefined) {
      throw new LowrankError('UNSUPPORTED', `tensors cannot be kept in the memory of ${device}`, {
        remedy: 'use cpu or cuda',
      });
    }
    const memoryType = device !== 'cpu' && kind === 'host' ? ORT_MEMORY_TYPE_CPU_OUTPUT : ORT_MEMORY_TYPE_DEFAULT;
    const info = api.create('CreateMemoryInfo', name, ORT_DEVICE_ALLOCATOR, cuda?.deviceId ?? 0, memoryType);
    try {
      const handle = api.create('CreateAllocator', session, info);
      owner.retain();
      return {
        handle,
        lifetime: lifetime(() => {
          api.release('ReleaseAllocator', handle);
          owner.release();
        }),
      };
    } finally {
      api.release('ReleaseMemoryInfo', info);
    }
  };
  return {
    of(kind) {
      const allocator = allocators.get(kind) ?? make(kind);
      allocators.set(kind, allocator);
      return allocator;
    },
    release() {
      for (const { lifetime: life } of allocators.values()) life.release();
      allocators.clear();
    },
  };
}

/** `owner` is the lifetime of the session. */
export function sessionTensors(
  api: NativeApi,
  session: bigint,
  options: SessionOptions,
  owner: Lifetime,
  copy: CopyTensor,
): SessionTensors {
  const location = locationOf(options);
  const open = new Set<() => void>();
  const allocators = sessionAllocators(api, session, options, owner);
  /** A value and its lifetime; `closed` hears of the end of the session. */
  const create = (
    kind: MemoryKind,
    type: ElementType,
    given: readonly number[],
    closed: () => void,
  ): { readonly value: bigint; readonly life: Lifetime; readonly close: () => void } => {
    checkDims(given);
    const allocator = allocators.of(kind);
    const dims = BigInt64Array.from(given.length === 0 ? [0] : given, BigInt);
    const { id } = ELEMENT_TYPES[type];
    const value = api.create('CreateTensorAsOrtValue', allocator.handle, dims, given.length, id);
    allocator.lifetime.retain();
    const life = lifetime(() => {
      api.release('ReleaseValue', value);
      allocator.lifetime.release();
    });
    const close = (): void => {
      if (!open.delete(close)) return;
      closed();
      life.release();
    };
    open.add(close);
    return { value, life, close };
  };

  return {
    location,
    allocate(type, given) {
      let isClosed = false;
      const dims = [...given];
      const native = create('device', type, dims, () => {
        isClosed = true;
      });
      const onHost = (data: TensorData): RuntimeTensor => {
        if (isClosed) throw closedError('tensor');
        const tensor: RuntimeTensor = { type, dims, data };
        checkData(tensor, 'the tensor');
        return tensor;
      };
      const tensor: DeviceTensor = {
        type,
        dims,
        location,
        get isClosed() {
          return isClosed;
        },
        write: async (source) => {
          await copy(type, 'location' in source ? source : onHost(source), tensor);
        },
        read: async (target) => {
          const result = onHost(target ?? new ELEMENT_TYPES[type].array(elementCount(dims)));
          await copy(type, tensor, result);
          return result.data;
        },
        close: native.close,
      };
      natives.set(tensor, { api, value: native.value, lifetime: native.life });
      return tensor;
    },
    allocateHost(type, given) {
      const { array, bytes } = ELEMENT_TYPES[type];
      const dims = [...given];
      let data: TensorData = new array(0);
      const native = create('host', type, dims, () => {
        data = new array(0);
      });
      const count = elementCount(dims);
      // onnxruntime gives an address without memory where there are no elements.
      if (count > 0) data = new array(api.view(api.create('GetTensorMutableData', native.value), count * bytes));
      const tensor: HostTensor = {
        type,
        dims,
        get data() {
          return data;
        },
        close: native.close,
      };
      natives.set(tensor, { api, value: native.value, lifetime: native.life });
      return tensor;
    },
    close() {
      for (const close of open) close();
      allocators.release();
    },
  };
}
