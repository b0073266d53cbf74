import { type LinearMap, linearMap } from './linear-map.js';

/** Which element of a row of `size` stands at place `i`, which may lie outside. */
const sources: Readonly<Record<string, (i: number, size: number) => number>> = {
  edge: (i, size) => Math.min(Math.max(i, 0), size - 1),
  wrap: (i, size) => ((i % size) + size) % size,
  reflect: (i, size) => {
    if (size === 1) return 0;
    const period = 2 * (size - 1);
    const place = ((i % period) + period) % period;
    return place < size ? place : period - place;
  },
};

/**
 * Pad along one axis of `size` as a map; undefined for a mode that is none of edge, wrap and reflect. Negative pads cut
 * first: what is repeated is what is left.
 */
export function padMap(mode: string, size: number, before: number, after: number): LinearMap | undefined {
  const source = sources[mode];
  if (source === undefined) return undefined;
  const [cutBefore, cutAfter] = [Math.max(0, -before), Math.max(0, -after)];
  const left = size - cutBefore - cutAfter;
  return linearMap(size + before + after, size, (row) => [[cutBefore + source(row - Math.max(0, before), left), 1]]);
}
