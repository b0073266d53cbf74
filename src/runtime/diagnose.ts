import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { LowrankError, messageOf } from '../errors.js';
import { DRIVER_LIBRARY, DRIVER_REMEDY, explainCuda, probeCuda } from './cuda.js';
import { PROVIDER_NAMES } from './device.js';
import { loadDriver, type DriverOptions } from './driver.js';
import { explainNvidia, readNvidia } from './nvidia.js';
import { tinyModel } from './tiny-model.js';
import type { Device, Driver } from './types.js';

/** One line of `lowrank-doctor`. */
export interface Diagnosis {
  readonly name: string;
  /** 'warning': works, but something is worth knowing. 'missing': cannot be used. */
  readonly status: 'ok' | 'warning' | 'missing';
  readonly fact: string;
  /** What to do about it, where the status is not 'ok'. */
  readonly remedy?: string | undefined;
}

const GIB = 2 ** 30;
/** Training steps that were measured (ResNet-18, EfficientNet-B0 at 160 px) peak at about 1.2 GiB; this leaves room for data. */
const COMFORTABLE_BYTES = 3 * GIB;

/**
 * What this machine has, one fact each: Node, cores, memory, onnxruntime, its driver and providers, CUDA, WebGPU. Runs a
 * tiny model to prove what it says. Never throws: a check that fails is a 'missing' line.
 */
export async function diagnose(options: DriverOptions = {}): Promise<Diagnosis[]> {
  const machine = [diagnoseNode(), diagnoseCores(), diagnoseMemory()];
  let driver: Driver;
  try {
    driver = await loadDriver(options);
  } catch (error) {
    return [...machine, missing('onnxruntime', error)];
  }
  return [
    ...machine,
    await diagnoseRuntime(driver),
    diagnoseDriver(driver),
    { name: 'execution providers', status: 'ok', fact: `in this build: ${driver.providers.join(', ')}` },
    await guarded('NVIDIA driver', () => diagnoseNvidia(driver)),
    await guarded('CUDA', () => diagnoseCuda(driver)),
    await guarded('WebGPU', () => diagnoseWebGpu(driver)),
  ];
}

function diagnoseNode(): Diagnosis {
  return { name: 'Node', status: 'ok', fact: `${process.version} on ${process.platform}-${process.arch}` };
}

function diagnoseCores(): Diagnosis {
  const usable = availableParallelism();
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  return { name: 'cores', status: 'ok', fact: `${usable} usable, ${model}` };
}

function diagnoseMemory(): Diagnosis {
  const total = totalmem();
  const limit = memoryLimit(total);
  const available = availableMemory();
  const usable = Math.min(available, limit ?? total);
  const parts = [`${gib(total)} in all`, `${gib(available)} available`];
  if (limit !== undefined) parts.push(`limited to ${gib(limit)} by the control group`);
  const fact = parts.join(', ');
  if (usable >= COMFORTABLE_BYTES) return { name: 'memory', status: 'ok', fact };
  return { name: 'memory', status: 'warning', fact, remedy: 'train with smaller batches' };
}

/** Bytes, where a control group or resource limit allows less than the machine has. */
function memoryLimit(total: number): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < total ? limit : undefined;
}

/** Bytes that can be had without swapping; `freemem` alone leaves out the page cache. */
function availableMemory(): number {
  if (process.platform !== 'linux' || !existsSync('/proc/meminfo')) return freemem();
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024;
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}

async function diagnoseRuntime(driver: Driver): Promise<Diagnosis> {
  const name = 'onnxruntime';
  try {
    await runTinyModel(driver, 'cpu');
    return { name, status: 'ok', fact: `${driver.version} runs a model; ${driver.library}` };
  } catch (error) {
    return missing(name, error);
  }
}

function diagnoseDriver(driver: Driver): Diagnosis {
  const name = 'driver';
  if (driver.fallbackReason === undefined) return { name, status: 'ok', fact: driver.name };
  return {
    name,
    status: 'warning',
    fact: `javascript, because the C API cannot be used: ${driver.fallbackReason}`,
    remedy: 'repair koffi (npm install); the JavaScript driver blocks the event loop and cannot bind GPU memory',
  };
}

async function diagnoseNvidia(driver: Driver): Promise<Diagnosis> {
  const name = 'NVIDIA driver';
  const { hasDriver, needsCuda } = await probeCuda(driver.library);
  const nvidia = hasDriver && DRIVER_LIBRARY !== undefined ? await readNvidia(DRIVER_LIBRARY) : undefined;
  if (nvidia === undefined) {
    return { name, status: 'missing', fact: 'its library (libcuda) is not there', remedy: DRIVER_REMEDY };
  }
  const problem = explainNvidia(nvidia, needsCuda);
  if (problem !== undefined) return { name, status: 'missing', ...problem };
  const file = '/proc/driver/nvidia/version';
  const text = existsSync(file) ? readFileSync(file, 'utf8').split('\n', 1)[0]!.replaceAll(/\s+/g, ' ') : undefined;
  const { cuda, gpus } = nvidia;
  const version = cuda === undefined ? '' : `runs CUDA up to ${cuda.major}.${cuda.minor}; `;
  const cards = gpus.map((gpu, i) => `GPU ${i}: ${gpu.name}, ${gib(gpu.bytes)}, compute capability ${gpu.capability}`);
  return { name, status: 'ok', fact: `${version}${cards.join('; ')}${text === undefined ? '' : `; ${text}`}` };
}

async function diagnoseCuda(driver: Driver): Promise<Diagnosis> {
  const name = 'CUDA';
  const probe = await probeCuda(driver.library);
  const problem = driver.providers.includes(PROVIDER_NAMES.cuda) ? explainCuda(probe) : undefined;
  if (problem !== undefined) return { name, status: 'missing', ...problem };
  await runTinyModel(driver, 'cuda');
  if (probe.hasCudnn) return { name, status: 'ok', fact: 'runs a model' };
  return {
    name,
    status: 'warning',
    fact: 'runs a model, but cuDNN 9 is not found: convolutions need it',
    remedy: 'install cuDNN 9, or add its folder to LD_LIBRARY_PATH',
  };
}

async function diagnoseWebGpu(driver: Driver): Promise<Diagnosis> {
  await runTinyModel(driver, 'webgpu');
  return { name: 'WebGPU', status: 'ok', fact: 'runs a model' };
}

/** Throws unless y = x + x comes out right on `device`. */
async function runTinyModel(driver: Driver, device: Device): Promise<void> {
  const session = await driver.createSession(tinyModel(), { device, threads: 1 });
  try {
    const x = { type: 'float32', dims: [3], data: Float32Array.of(1, -2, 0.5) } as const;
    const { y } = await session.run({ x });
    const isRight = y?.data.length === 3 && x.data.every((value, index) => y.data[index] === value + value);
    if (!isRight) throw new LowrankError('RUNTIME', `${device} computes x + x wrongly: ${String(y?.data)}`);
  } finally {
    await session.close();
  }
}

async function guarded(name: string, check: () => Promise<Diagnosis>): Promise<Diagnosis> {
  try {
    return await check();
  } catch (error) {
    return missing(name, error);
  }
}

function missing(name: string, error: unknown): Diagnosis {
  if (!(error instanceof LowrankError)) return { name, status: 'missing', fact: messageOf(error) };
  const fact = [error.fact, error.place].filter((part) => part !== undefined).join('; ');
  return { name, status: 'missing', fact, remedy: error.remedy };
}
