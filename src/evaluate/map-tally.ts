import type { MapAgreement } from '../contracts/agreement.js';
import { meanOverPictures } from './picture-mean.js';

export interface MapTally {
  /** The classes of the pixels of one picture. */
  add(original: ArrayLike<number>, other: ArrayLike<number>): void;
  result(): MapAgreement;
}

interface Pixels {
  original: number;
  other: number;
  both: number;
}

/** Compares maps of classes, pixel by pixel. */
export function tallyMaps(): MapTally {
  const classes = new Map<number, Pixels>();
  const shares: number[] = [];
  const of = (index: number): Pixels => {
    let pixels = classes.get(index);
    if (pixels === undefined) classes.set(index, (pixels = { original: 0, other: 0, both: 0 }));
    return pixels;
  };
  return {
    add(original, other) {
      let same = 0;
      for (let i = 0; i < original.length; i++) {
        const pixels = of(original[i]!);
        pixels.original++;
        if (original[i] === other[i]) {
          pixels.other++;
          pixels.both++;
          same++;
        } else of(other[i]!).other++;
      }
      shares.push(same / original.length);
    },
    result() {
      const present = [...classes.values()].filter((pixels) => pixels.original > 0);
      const ious = present.map(({ original, other, both }) => both / (original + other - both));
      return {
        classes: present.length,
        meanIoU: ious.reduce((sum, iou) => sum + iou, 0) / ious.length,
        pixels: meanOverPictures(shares, 1),
      };
    },
  };
}

/** The class of each pixel: the first of the largest of [classes, pixels], or of [pixels, classes] where `isLast`. */
export function largestOf(values: Float64Array, classes: number, isLast: boolean): Int32Array {
  const pixels = values.length / classes;
  const [perClass, perPixel] = isLast ? [1, classes] : [pixels, 1];
  return Int32Array.from({ length: pixels }, (_, pixel) => {
    let best = 0;
    for (let k = 1; k < classes; k++) {
      if (values[k * perClass + pixel * perPixel]! > values[best * perClass + pixel * perPixel]!) best = k;
    }
    return best;
  });
}
