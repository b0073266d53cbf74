import { LowrankError, messageOf } from '../errors.js';
import type { Driver, DriverName } from './types.js';

export interface DriverOptions {
  /**
   * 'auto' (the default) is the C API, else the JavaScript API with `Driver.fallbackReason`. LOWRANK_DRIVER overrides.
   */
  readonly driver?: DriverName | 'auto' | undefined;
  /** Another libonnxruntime, by file or folder, for the C API. Default: LOWRANK_ORT_LIB, else the one in onnxruntime-node. */
  readonly library?: string | undefined;
}

const CHOICES = ['auto', 'c-api', 'javascript'] as const;

/** One driver a choice: environments of onnxruntime live as long as the process. */
const loading = new Map<string, Promise<Driver>>();

/**
 * The driver of onnxruntime. Nothing native is loaded before the first call; the same choice gives the same driver.
 * Throws USAGE (an unknown driver, a library for the JavaScript driver), INPUT (no such library), RUNTIME or DEVICE
 * (it cannot be loaded).
 */
export async function loadDriver(options: DriverOptions = {}): Promise<Driver> {
  const choice = chooseDriver(process.env['LOWRANK_DRIVER'], options.driver);
  const library = options.library ?? nonEmpty(process.env['LOWRANK_ORT_LIB']);
  const key = `${choice} ${library ?? ''}`;
  const known = loading.get(key);
  if (known !== undefined) return known;
  const driver = load(choice, library);
  loading.set(key, driver);
  driver.catch(() => loading.delete(key));
  return driver;
}

function chooseDriver(
  fromEnvironment: string | undefined,
  fromOptions: DriverOptions['driver'],
): (typeof CHOICES)[number] {
  const wanted = nonEmpty(fromEnvironment);
  if (wanted === undefined) return fromOptions ?? 'auto';
  const choice = CHOICES.find((candidate) => candidate === wanted);
  if (choice !== undefined) return choice;
  throw new LowrankError('USAGE', `LOWRANK_DRIVER is '${wanted}'`, { remedy: `choose one of ${CHOICES.join(', ')}` });
}

async function load(choice: (typeof CHOICES)[number], library: string | undefined): Promise<Driver> {
  if (choice === 'javascript') {
    if (library === undefined) return loadJavaScript();
    throw new LowrankError('USAGE', 'the JavaScript driver cannot use another libonnxruntime', {
      place: `library ${library}`,
      remedy: 'unset LOWRANK_ORT_LIB, or use the C-API driver',
    });
  }
  try {
    const { loadNativeDriver } = await import('./c-api/driver.js');
    return await loadNativeDriver(library);
  } catch (error) {
    // Whoever names a library wants that one.
    if (choice === 'c-api' || library !== undefined) throw error;
    return { ...(await loadJavaScript()), fallbackReason: messageOf(error) };
  }
}

async function loadJavaScript(): Promise<Driver> {
  const { loadJavaScriptDriver } = await import('./javascript/driver.js');
  return loadJavaScriptDriver();
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
