import { LowrankError } from '../../src/errors.js';
import { checkModel } from '../../src/graph/check.js';
import { encodeModel } from '../../src/graph/encode.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { gather } from '../../src/files/chunk.js';
import { inferShapes } from '../../src/ops/infer.js';

/** How far a model came: through everything, or to a refusal in some step. */
export type Outcome = 'accepted' | `${'read' | 'check' | 'infer'}: ${string}`;

/**
 * Does with a model, which may be damaged in any way, what every command does: reads it, checks it, reads its weights,
 * writes it as it is and with every node touched, infers shapes. What it accepts it must accept again from its own
 * output. Throws whatever is not a LowrankError, and every LowrankError whose message is not one printable line.
 */
export function exercise(bytes: Uint8Array, steps: { readonly infer: boolean } = { infer: true }): Outcome {
  let model: Model | undefined;
  const attempt = (step: 'read' | 'check' | 'infer', action: () => void): Outcome | undefined => {
    try {
      action();
      return undefined;
    } catch (error) {
      return `${step}: ${refusal(error)}`;
    }
  };
  const refused =
    attempt('read', () => {
      model = readModel(bytes);
    }) ??
    attempt('check', () => {
      checkModel(model!);
    });
  if (refused !== undefined || model === undefined) return refused ?? 'accepted';

  if (!Buffer.from(gather(encodeModel(model))).equals(bytes)) throw new Error('not written back byte for byte');
  for (const { tensor } of model.graph.initializers) {
    if (tensor !== undefined && tensor.size < 1e6) attempt('read', () => tensor.toNumbers());
  }
  for (const node of model.graph.nodes) node.touch();
  const touched = gather(encodeModel(model));
  const again = readModel(touched);
  checkModel(again);
  if (again.graph.nodes.length !== model.graph.nodes.length) throw new Error('nodes were lost');
  return (steps.infer ? attempt('infer', () => inferShapes(again)) : undefined) ?? 'accepted';
}

function refusal(error: unknown): string {
  if (!(error instanceof LowrankError)) throw error;
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
  if (/[\u0000-\u001f\u007f]/.test(error.message) || error.message.length > 5000) {
    throw new Error(`a message of ${error.message.length} characters or with control characters`, { cause: error });
  }
  if (error.code === 'INTERNAL') throw new Error('an internal error', { cause: error });
  return error.code;
}
