import type { LossName } from '../../contracts/train-settings.js';
import { sizeOf } from '../../ops/support/layout.js';
import { binaryCrossEntropy } from './binary-cross-entropy.js';
import { crossEntropy } from './cross-entropy.js';
import type { Loss, LossTarget } from './loss.js';

/** Every loss by its name. */
export const losses = {
  'cross-entropy': crossEntropy,
  'binary-cross-entropy': binaryCrossEntropy,
} as const satisfies Readonly<Record<LossName, Loss>>;

/** Targets of no image in particular: for runs whose loss does not matter. */
export function blankTargets(targets: readonly LossTarget[], batch: number): Record<string, BlankTarget> {
  return Object.fromEntries(
    targets.map((target) => {
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
