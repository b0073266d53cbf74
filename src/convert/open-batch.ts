import { LowrankError } from '../errors.js';
import type { Value } from '../graph/value.js';
import { openBatch } from '../passes/open-batch.js';
import { checkOpening } from '../rewrite/check-opening.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Opened } from './open.js';

/**
 * Throws UNSUPPORTED where `--open-batch` is asked for and the batch of the model cannot be opened, or gives other numbers
 * when it is. A model whose batch is open stays as it is, which is said.
 */
export async function requireOpenable({ asked, model, driver }: Opened): Promise<void> {
  const { settings, input, call } = asked;
  if (!settings.output.openBatch) return;
  if (typeof imagesOf(model)?.declared?.dims?.[0] !== 'number') {
    asked.warnings.push('no batch was opened: the model has no fixed one');
    return;
  }
  const session = sessionOptionsOf(settings.running);
  const obstacle = await checkOpening(input, { driver: await driver(), session, signal: call.signal });
  if (obstacle !== undefined) throw refusal(obstacle);
}

/** Opens the batch of the converted model, where that is asked for. */
export function openConverted({ asked, model }: Opened): void {
  const images = imagesOf(model);
  if (!asked.settings.output.openBatch || typeof images?.declared?.dims?.[0] !== 'number') return;
  const obstacle = openBatch(model, images, { inputShapes: asked.settings.inputShapes });
  if (obstacle !== undefined) throw refusal(obstacle);
}

function imagesOf({ graph }: Opened['model']): Value | undefined {
  const inputs = graph.inputs.filter(({ tensor }) => tensor === undefined);
  return inputs.length === 1 ? inputs[0] : undefined;
}

function refusal({ fact, place }: LowrankError): LowrankError {
  return new LowrankError('UNSUPPORTED', `the batch cannot be opened: ${fact}`, {
    ...(place === undefined ? {} : { place }),
    remedy: 'leave out --open-batch',
  });
}
