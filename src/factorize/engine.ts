import path from 'node:path';
import { createLinalg, type ResidentLinalg } from '../linalg/linalg.js';
import type { Linalg } from '../linalg/types.js';
import type { EngineReport } from '../contracts/convert.js';
import { packageLibraryFolder } from '../runtime/library-path.js';
import { loadTensorFlow, type TensorFlow } from '../runtime/tensorflow.js';
import type { Device, Driver } from '../runtime/types.js';
import { fittingSession } from './fitting-session.js';

/** What multiplies while pairs are fitted: onnxruntime or TensorFlow.js. */
export type EngineName = EngineReport['name'];

export interface EngineSettings {
  readonly engine: EngineName;
  readonly driver: Driver;
  /** Where onnxruntime computes, large matrices only on `cuda`: TensorFlow.js computes where its package does. */
  readonly device: Device;
  /** 0: all cores. */
  readonly threads: number;
}

/** An engine at work. */
export interface Engine {
  readonly linalg: Linalg;
  /** undefined: the engine is onnxruntime. */
  readonly tensorFlow: TensorFlow | undefined;
  readonly report: EngineReport;
  /** More of them may come until the fits are done. */
  readonly warnings: readonly string[];
}

/** Every engine. */
export const engineNames: readonly EngineName[] = ['ort', 'tfjs'];

/**
 * Starts an engine; the caller closes its linear algebra. Throws USAGE or RUNTIME where TensorFlow.js is asked for and there
 * is none that loads.
 */
export async function startEngine({ engine, driver, device, threads }: EngineSettings): Promise<Engine> {
  const tensorFlow = engine === 'tfjs' ? await loadTensorFlow() : undefined;
  const warnings: string[] = [];
  const onWarning = (message: string): void => {
    if (!warnings.includes(message)) warnings.push(message);
  };
  const resident = tensorFlow === undefined ? residence(driver, device, onWarning) : undefined;
  const linalg = await createLinalg({ driver, tensorFlow, resident, ...(threads > 0 ? { threads } : {}) });
  if (tensorFlow === undefined) {
    const { version } = driver;
    const where = resident === undefined ? ({ backend: 'cpu', device: 'cpu' } as const) : onGpu;
    return { linalg, tensorFlow, report: { name: 'ort', package: packageOf(driver), version, ...where }, warnings };
  }
  const { package: name, version, backend } = tensorFlow;
  warnings.push(...tensorFlow.unusable.map((reason) => `${reason}; ${name} computes in its place`));
  if (device !== 'cpu' && tensorFlow.device === 'cpu') {
    warnings.push(
      `--device ${device} is where models run: ${name} fits them on the CPU; @tensorflow/tfjs-node-gpu would not`,
    );
  }
  return {
    linalg,
    tensorFlow,
    report: { name: 'tfjs', package: name, version, backend, device: tensorFlow.device },
    warnings,
  };
}

/** What brought the library of a driver. */
function packageOf({ library }: Driver): string {
  return path.dirname(library) === packageLibraryFolder() ? 'onnxruntime-node' : 'onnxruntime';
}

const onGpu = { backend: 'cuda', device: 'gpu' } as const;

/** Where onnxruntime keeps large matrices between products: on CUDA, where the driver can. */
function residence(driver: Driver, device: Device, onWarning: (message: string) => void): ResidentLinalg | undefined {
  if (device !== 'cuda') return undefined;
  if (driver.name === 'c-api') return { session: fittingSession({ device }), onWarning };
  onWarning(
    `--device ${device} is where models run: the JavaScript driver multiplies on the CPU while pairs are fitted`,
  );
  return undefined;
}
