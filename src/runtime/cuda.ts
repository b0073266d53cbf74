import { existsSync } from 'node:fs';
import path from 'node:path';
import { readDynamicSection } from './elf.js';
import { packageLibraryFolder, packageRoot } from './library-path.js';
import { isLoadable } from './loader.js';

/** What stands between onnxruntime and CUDA on this machine. */
export interface CudaProbe {
  /** The folder of libonnxruntime, where it looks for its provider libraries. */
  readonly folder: string;
  /** Provider libraries that are not in `folder`. */
  readonly missingProviders: readonly string[];
  /**
   * Libraries other than the driver's that the provider needs and the loader does not find, by name; empty where the
   * provider itself is missing.
   */
  readonly missingLibraries: readonly string[];
  /** Whether the NVIDIA driver's library loads. */
  readonly hasDriver: boolean;
  /** The major version of CUDA that the provider was built for; undefined where it cannot be read. */
  readonly needsCuda: number | undefined;
  /** Whether cuDNN 9 loads, which the provider opens by itself for convolutions. */
  readonly hasCudnn: boolean;
}

const PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  linux: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'],
  win32: ['onnxruntime_providers_shared.dll', 'onnxruntime_providers_cuda.dll'],
};
const DRIVERS: Readonly<Record<string, string>> = { linux: 'libcuda.so.1', win32: 'nvcuda.dll' };
const CUDNN: Readonly<Record<string, string>> = { linux: 'libcudnn.so.9', win32: 'cudnn64_9.dll' };

export const DRIVER_LIBRARY: string | undefined = DRIVERS[process.platform];

export const DRIVER_REMEDY = 'install the NVIDIA driver (in a container: start it with `--gpus all`)';
const FOLDER_REMEDY =
  "put the libraries of PyPI's onnxruntime-gpu into one folder and set LOWRANK_ORT_LIB to it (docs/gpu.md)";

/**
 * Looks for the provider libraries beside `library` (a libonnxruntime), for every library that the CUDA provider needs,
 * and for the NVIDIA driver. Loads none of them for good.
 */
export async function probeCuda(library: string): Promise<CudaProbe> {
  const folder = path.dirname(library);
  const missingProviders = (PROVIDERS[process.platform] ?? []).filter((name) => !existsSync(path.join(folder, name)));
  const canLoad = async (name: string | undefined): Promise<boolean> => name !== undefined && (await isLoadable(name));
  const { missing, cuda } = missingProviders.length > 0 ? { missing: [], cuda: undefined } : await dependencies(folder);
  return {
    folder,
    missingProviders,
    missingLibraries: missing,
    needsCuda: cuda,
    hasDriver: await canLoad(DRIVER_LIBRARY),
    hasCudnn: await canLoad(CUDNN[process.platform]),
  };
}

/** What must be repaired first and how; undefined where everything was found. */
export function explainCuda(probe: CudaProbe): { readonly fact: string; readonly remedy: string } | undefined {
  if (probe.missingProviders.length > 0) {
    return {
      fact: `${probe.missingProviders.join(' and ')} not found in ${probe.folder}`,
      remedy: providerRemedy(probe.folder),
    };
  }
  if (probe.missingLibraries.length > 0) {
    return {
      fact: `the CUDA provider needs ${probe.missingLibraries.join(', ')}, which the loader does not find`,
      remedy: 'install the CUDA toolkit of that version and cuDNN 9, or add their folders to LD_LIBRARY_PATH',
    };
  }
  if (!probe.hasDriver) {
    const name = DRIVER_LIBRARY ?? `none exists for ${process.platform}`;
    return { fact: `the NVIDIA driver's library is missing (${name})`, remedy: DRIVER_REMEDY };
  }
  return undefined;
}

/** onnxruntime-node's own script fetches the CUDA 12 provider, for Linux on x64. */
function providerRemedy(folder: string): string {
  const hasScript = folder === packageLibraryFolder() && process.platform === 'linux' && process.arch === 'x64';
  if (!hasScript) return FOLDER_REMEDY;
  const script = path.join(packageRoot(), 'script', 'install.js');
  return `for CUDA 12 run \`node ${script} --onnxruntime-node-install=cuda12\`; for CUDA 13 ${FOLDER_REMEDY}`;
}

async function dependencies(
  folder: string,
): Promise<{ readonly missing: readonly string[]; readonly cuda: number | undefined }> {
  if (process.platform !== 'linux') return { missing: [], cuda: undefined }; // only ELF is read here; elsewhere onnxruntime's own message must do
  const provider = path.join(folder, 'libonnxruntime_providers_cuda.so');
  const section = await readDynamicSection(provider);
  if (section === undefined) return { missing: [`a valid ${path.basename(provider)}`], cuda: undefined };
  const folders = section.searchPath.map((entry) => entry.replaceAll(/\$\{?ORIGIN\}?/g, folder));
  const missing: string[] = [];
  for (const name of section.needed) {
    const isBeside = folders.some((candidate) => existsSync(path.join(candidate, name)));
    if (!isBeside && name !== DRIVER_LIBRARY && !(await isLoadable(name))) missing.push(name);
  }
  const runtime = section.needed.map((name) => /^libcudart\.so\.(\d+)$/.exec(name)?.[1]).find(Boolean);
  return { missing, cuda: runtime === undefined ? undefined : Number(runtime) };
}
