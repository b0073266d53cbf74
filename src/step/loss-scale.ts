import type { LossScale } from '../contracts/checkpoint.js';
import { LowrankError } from '../errors.js';

export type { LossScale };

/** As large as float16 itself: it falls to what fits in the first updates. The numbers are those of PyTorch's GradScaler. */
export const initialLossScale: LossScale = { scale: 65536, updates: 0, skipped: 0 };

/** Updates in a row after which the scale is doubled. */
export const growthInterval = 2000;

/**
 * The scale behind an update, or behind one that was skipped since its gradient was not finite: half as large then, twice
 * as large after `growthInterval` good ones in a row. Throws NUMERIC where it falls below 1: the gradient itself, not its
 * scale, is then too large for float16.
 */
export function nextLossScale({ scale, updates, skipped }: LossScale, isFinite: boolean): LossScale {
  if (isFinite) {
    return updates + 1 === growthInterval
      ? { scale: scale * 2, updates: 0, skipped }
      : { scale, updates: updates + 1, skipped };
  }
  if (scale / 2 < 1) {
    throw new LowrankError('NUMERIC', `the gradient is not finite in float16, even at a loss scale of ${scale}`, {
      remedy: 'train with --precision bfloat16 or float32, or with a lower --lr',
    });
  }
  return { scale: scale / 2, updates: 0, skipped: skipped + 1 };
}
