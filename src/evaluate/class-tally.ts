import type { EndKind } from '../passes/classifier-end.js';
import type { ElementType } from '../runtime/types.js';
import { meanOf, wilsonInterval } from '../statistics.js';
import { divergence } from './divergence.js';

type Interval = readonly [low: number, high: number];

/** What two models say of the same images' classes. */
export interface ClassAgreement {
  /** Images on which both have the same first class, with Wilson's interval; null where classes do not exclude each other. */
  readonly top1: { readonly share: number; readonly ci95: Interval } | null;
  /** Mean of KL(original ‖ other) in nats, with `meanInterval`; null below two images, and where some are no distribution. */
  readonly kl: { readonly mean: number; readonly ci95: Interval } | null;
}

export interface ClassTally {
  /**
   * Outputs for `size` images, row by row, as the original rounded them to `type`. False where some are no distribution of
   * classes.
   */
  add(original: Float64Array, other: Float64Array, size: number, type: ElementType): boolean;
  /** KL of each image. */
  readonly divergences: readonly number[];
  result(): ClassAgreement;
}

/** Compares the classes of two models, whose outputs end as `end` and `otherEnd` say. */
export function tallyClasses(end: EndKind, otherEnd: EndKind = end): ClassTally {
  const divergences: number[] = [];
  let same = 0;
  return {
    add(original, other, size, type) {
      const classes = original.length / size;
      let areDistributions = true;
      for (let image = 0; image < size; image++) {
        const row = (of: Float64Array): Float64Array => of.subarray(image * classes, (image + 1) * classes);
        const { kl, isSameClass } = divergence(row(original), row(other), end, type, otherEnd);
        if (!Number.isFinite(kl)) areDistributions = false;
        divergences.push(kl);
        if (isSameClass === true) same++;
      }
      return areDistributions;
    },
    divergences,
    result() {
      const images = divergences.length;
      const isMeasured = images > 1 && divergences.every(Number.isFinite);
      return {
        top1: end === 'sigmoid' ? null : { share: same / images, ci95: wilsonInterval(same, images) },
        kl: isMeasured ? meanOf(divergences, [0, Infinity]) : null,
      };
    },
  };
}
