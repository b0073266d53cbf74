import type { LossName } from '../../contracts/train-settings.js';
import type { Value } from '../../graph/value.js';
import { FLOAT, INT64 } from '../../onnx/data-type.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import { addInput } from '../emitted.js';
import { binaryCrossEntropy } from './binary-cross-entropy.js';
import { crossEntropy } from './cross-entropy.js';
import type { Loss } from './loss.js';

/** Every loss by its name. */
export const losses = {
  'cross-entropy': crossEntropy,
  'binary-cross-entropy': binaryCrossEntropy,
} as const satisfies Readonly<Record<LossName, Loss>>;

/** Inputs of the graph for what a loss compares with, by name. */
export function addTargets(e: Emitter, name: LossName, batch: number, classes: number): Record<string, Value> {
  const targets = losses[name].targets(classes);
  return Object.fromEntries(
    targets.map((target) => [
      target.name,
      addInput(e, target.name, target.type === 'int64' ? INT64 : FLOAT, [batch, ...target.dims], true),
    ]),
  );
}

/** Targets of no image in particular: for runs whose loss does not matter. */
export function blankTargets(name: LossName, batch: number, classes: number): Record<string, BlankTarget> {
  return Object.fromEntries(
    losses[name].targets(classes).map((target) => {
      const dims = [batch, ...target.dims];
      const size = sizeOf(dims);
      const blank: BlankTarget =
        target.type === 'int64'
          ? { type: 'int64', dims, data: new BigInt64Array(size) }
          : { type: 'float32', dims, data: new Float32Array(size) };
      return [target.name, blank];
    }),
  );
}

export type BlankTarget =
  | { readonly type: 'int64'; readonly dims: readonly number[]; readonly data: BigInt64Array }
  | { readonly type: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array };
