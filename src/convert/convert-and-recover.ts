import type { ConvertReport } from '../contracts/convert.js';
import { LowrankError } from '../errors.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { recoverInPlace, type RecoverOptions } from '../recover/recover.js';
import type { ConvertCall } from './call.js';
import { convert } from './convert.js';

/** How a converted model is made to compute what the original does. */
export type RecoverCall = Pick<RecoverOptions, 'data' | 'settings' | 'progress' | 'maxMemory'>;

/**
 * Converts a model, and trains what it wrote towards the original on pictures without labels. Where the recovery fails, the
 * converted model stays as it was written, and the error says so. Throws what `convert` and `recover` throw.
 */
export async function convertAndRecover(input: string, call: ConvertCall, asked: RecoverCall): Promise<ConvertReport> {
  const report = await convert(input, call);
  const { path } = report.output;
  const { signal } = call;
  try {
    const recovery = await recoverInPlace({
      ...asked,
      model: path,
      teacher: input,
      ...(signal === undefined ? {} : { signal }),
    });
    const { bytes } = recovery.output!;
    return {
      ...report,
      output: { ...report.output, bytes, sha256: drain(fileSha256(path)) },
      recovery,
      seconds: { ...report.seconds, total: report.seconds.total + recovery.seconds.total },
    };
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code === 'ABORTED') throw error;
    throw new LowrankError(error.code, error.fact, {
      place: [error.place, `the recovery; the converted model is ${path}`].filter(Boolean).join('; '),
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: error,
    });
  }
}
