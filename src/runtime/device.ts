import { LowrankError } from '../errors.js';
import { DRIVER_LIBRARY, explainCuda, probeCuda } from './cuda.js';
import { isLoadable } from './loader.js';
import { explainNvidia, readNvidia } from './nvidia.js';
import type { Device, SessionOptions } from './types.js';

/** onnxruntime's names of the execution providers. */
export const PROVIDER_NAMES: Readonly<Record<Device, string>> = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
};

const VULKAN_LIBRARY = 'libvulkan.so.1';
const VULKAN_REMEDY = 'install the Vulkan loader and the driver of the GPU';

/**
 * Throws DEVICE where the device of `options` certainly cannot be used: the build has no such provider, or a library it needs is
 * missing, by name. `library` is the path of the libonnxruntime in use.
 */
export async function checkDevice(
  options: SessionOptions,
  providers: readonly string[],
  library: string,
): Promise<void> {
  const { device = 'cpu', cuda } = options;
  if (!providers.includes(PROVIDER_NAMES[device])) {
    throw new LowrankError('DEVICE', `this onnxruntime has no ${device} provider (it has ${providers.join(', ')})`, {
      place: library,
      remedy: 'use --device cpu, or another build by LOWRANK_ORT_LIB',
    });
  }
  if (device === 'webgpu') await checkVulkan();
  if (device !== 'cuda') return;
  const probe = await probeCuda(library);
  const driver = DRIVER_LIBRARY === undefined ? undefined : await readNvidia(DRIVER_LIBRARY);
  const problem =
    explainCuda(probe) ?? (driver === undefined ? undefined : explainNvidia(driver, probe.needsCuda, cuda?.deviceId));
  if (problem !== undefined) {
    throw new LowrankError('DEVICE', `CUDA cannot be used: ${problem.fact}`, { remedy: problem.remedy });
  }
}

/** WebGPU on Linux is Dawn over Vulkan; without its loader Dawn itself would print to stderr. */
async function checkVulkan(): Promise<void> {
  if (process.platform !== 'linux' || (await isLoadable(VULKAN_LIBRARY))) return;
  throw new LowrankError('DEVICE', `WebGPU cannot be used: ${VULKAN_LIBRARY} is missing`, { remedy: VULKAN_REMEDY });
}
