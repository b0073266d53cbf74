import { LowrankError } from '../errors.js';
import { dataTypeName } from '../onnx/data-type.js';
import { openBatch } from '../passes/open-batch.js';
import { checkOpening, fixedImages } from '../rewrite/check-opening.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Opened } from './open.js';

/**
 * Throws UNSUPPORTED where `--open-batch` is asked for and the batch of the model cannot be opened, or gives other numbers
 * when it is, or cannot be checked. A model whose batch is open stays as it is, which is said.
 */
export async function requireOpenable({ asked, model, driver }: Opened): Promise<void> {
  const { settings, input, call } = asked;
  if (!settings.output.openBatch) return;
  if (fixedImages(model) === undefined) {
    refuseUnchecked(model);
    asked.warnings.push('no batch was opened: the model has no fixed one');
    return;
  }
  const session = sessionOptionsOf(settings.running);
  const obstacle = await checkOpening(input, { driver: await driver(), session, signal: call.signal });
  if (obstacle !== undefined) throw refusal(obstacle);
}

/** Opens the batch of the converted model, where that is asked for. */
export function openConverted({ asked, model }: Opened): void {
  const images = fixedImages(model);
  if (!asked.settings.output.openBatch || images === undefined) return;
  const obstacle = openBatch(model, images, { inputShapes: asked.settings.inputShapes });
  if (obstacle !== undefined) throw refusal(obstacle);
}

/** Throws UNSUPPORTED where the batch is fixed in a model that is fed other than float32 images alone. */
function refuseUnchecked({ graph }: Opened['model']): void {
  const inputs = graph.inputs.filter(({ tensor }) => tensor === undefined);
  const fixed = inputs.find(({ declared }) => typeof declared?.dims?.[0] === 'number');
  if (fixed === undefined) return;
  const fact =
    inputs.length > 1
      ? `the model takes ${inputs.length} inputs`
      : `its images are ${dataTypeName(fixed.declared!.dataType)}, not float32`;
  throw refusal(new LowrankError('UNSUPPORTED', fact, { place: `input '${fixed.name}'` }));
}

function refusal({ fact, place }: LowrankError): LowrankError {
  return new LowrankError('UNSUPPORTED', `the batch cannot be opened: ${fact}`, {
    ...(place === undefined ? {} : { place }),
    remedy: 'leave out --open-batch',
  });
}
