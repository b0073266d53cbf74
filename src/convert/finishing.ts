import type { RecalibrateContext } from '../training/recalibrate.js';
import type { ConvertCall } from './call.js';
import type { Finish } from './trial-model.js';

/** Of the original, and how it is run. */
type Running = Pick<RecalibrateContext, 'path' | 'driver' | 'session' | 'inputs'>;

/** What statistics are estimated anew with: the images are prepared as the original says. */
export function recalibrateContext(
  { signal }: Pick<ConvertCall, 'signal'>,
  running: Running,
  onProgress: RecalibrateContext['onProgress'],
): RecalibrateContext {
  return { ...running, original: running.path, signal, onProgress };
}

/** What is done to models with pairs before they are written, for those that are only measured. */
export function finishing(call: Pick<ConvertCall, 'recalibrate' | 'signal'>, running: Running): Finish | undefined {
  const { recalibrate } = call;
  if (recalibrate === undefined) return undefined;
  const context = recalibrateContext(call, running, () => undefined);
  return (model) => recalibrate(model, context);
}
