import { loadKoffi } from './c-api/koffi.js';

/** A GPU as CUDA sees it. */
export interface Gpu {
  readonly name: string;
  readonly bytes: number;
  /** Compute capability, such as "9.0". */
  readonly capability: string;
}

/** What the NVIDIA driver says of itself and its GPUs. */
export interface NvidiaDriver {
  /** The newest CUDA it runs, such as 13.0; undefined where it does not say. */
  readonly cuda: { readonly major: number; readonly minor: number } | undefined;
  /** Those that `CUDA_VISIBLE_DEVICES` leaves, in CUDA's order. */
  readonly gpus: readonly Gpu[];
  /** CUDA's name of the error where it cannot start, such as "CUDA_ERROR_NO_DEVICE". */
  readonly failure: string | undefined;
}

/** Numbers of `CUdevice_attribute`. */
const CAPABILITY_MAJOR = 75;
const CAPABILITY_MINOR = 76;

/**
 * Asks the driver's own library (`cuda.h`) without starting a context: no memory of a GPU is taken. undefined where the
 * library does not load.
 */
export async function readNvidia(library: string): Promise<NvidiaDriver | undefined> {
  const koffi = await loadKoffi().catch(() => undefined);
  if (koffi === undefined) return undefined;
  let handle;
  try {
    handle = koffi.load(library);
  } catch {
    return undefined;
  }
  const native = (prototype: string): ((...args: readonly unknown[]) => number) =>
    handle.func(prototype) as (...args: readonly unknown[]) => number;
  const slot = new Int32Array(1);
  const read = (call: (slot: Int32Array) => number): number => (call(slot) === 0 ? slot[0]! : -1);
  const version = read((out) => native('int cuDriverGetVersion(void *version)')(out));
  const cuda =
    version > 0 ? { major: Math.floor(version / 1000), minor: Math.floor((version % 1000) / 10) } : undefined;
  const code = native('int cuInit(unsigned int flags)')(0);
  if (code !== 0) return { cuda, gpus: [], failure: nameOf(native, koffi.decode.string, code) };
  const count = read((out) => native('int cuDeviceGetCount(void *count)')(out));
  const getDevice = native('int cuDeviceGet(void *device, int ordinal)');
  const getName = native('int cuDeviceGetName(void *name, int length, int device)');
  const getBytes = native('int cuDeviceTotalMem_v2(void *bytes, int device)');
  const getAttribute = native('int cuDeviceGetAttribute(void *value, int attribute, int device)');
  const gpus = Array.from({ length: Math.max(0, count) }, (_, ordinal): Gpu => {
    const device = read((out) => getDevice(out, ordinal));
    const name = Buffer.alloc(256);
    getName(name, name.length, device);
    const bytes = new BigUint64Array(1);
    getBytes(bytes, device);
    const [major, minor] = [CAPABILITY_MAJOR, CAPABILITY_MINOR].map((attribute) =>
      read((out) => getAttribute(out, attribute, device)),
    );
    return {
      name: name.toString('utf8', 0, name.indexOf(0)),
      bytes: Number(bytes[0]),
      capability: `${major!}.${minor!}`,
    };
  });
  return { cuda, gpus, failure: undefined };
}

function nameOf(
  native: (prototype: string) => (...args: readonly unknown[]) => number,
  text: (address: bigint) => string,
  code: number,
): string {
  const address = new BigUint64Array(1);
  const known = native('int cuGetErrorName(int code, void *name)')(code, address) === 0 && address[0] !== 0n;
  return known ? text(address[0]!) : `CUDA error ${code}`;
}

/** The environment and what CUDA makes of it, for messages. */
function visible(): string {
  const value = process.env['CUDA_VISIBLE_DEVICES'];
  return value === undefined ? '' : ` (CUDA_VISIBLE_DEVICES is '${value}')`;
}

/**
 * What of the driver stands in the way of a GPU, and how to repair it; undefined where nothing does. `needed` is the major
 * version of CUDA that the provider was built for; `gpu` the number of the GPU.
 */
export function explainNvidia(
  driver: NvidiaDriver,
  needed: number | undefined,
  gpu = 0,
): { readonly fact: string; readonly remedy: string } | undefined {
  const { cuda, gpus, failure } = driver;
  if (cuda !== undefined && needed !== undefined && cuda.major < needed) {
    return {
      fact: `the NVIDIA driver runs CUDA up to ${cuda.major}.${cuda.minor}, and this onnxruntime needs CUDA ${needed}`,
      remedy: `update the driver, or use a provider for CUDA ${cuda.major} (docs/gpu.md)`,
    };
  }
  if (failure !== undefined && failure !== 'CUDA_ERROR_NO_DEVICE') {
    return {
      fact: `the NVIDIA driver does not start: ${failure}${visible()}`,
      remedy: 'see what nvidia-smi says; after an update of the driver, restart the machine',
    };
  }
  if (gpus.length === 0) {
    const isHidden = process.env['CUDA_VISIBLE_DEVICES'] !== undefined;
    return {
      fact: `the NVIDIA driver shows no GPU${visible()}`,
      remedy: isHidden
        ? 'name a GPU of nvidia-smi -L in CUDA_VISIBLE_DEVICES, from 0 on, or unset it'
        : 'see what nvidia-smi says (in a container: start it with `--gpus all`)',
    };
  }
  if (gpu < gpus.length) return undefined;
  return {
    fact: `there is no GPU ${gpu}: the NVIDIA driver shows ${gpus.length}${visible()}`,
    remedy: `choose one from 0 to ${gpus.length - 1}`,
  };
}
