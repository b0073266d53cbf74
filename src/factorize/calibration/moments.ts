import type { Candidate } from '../candidates.js';
import type { Moments } from './types.js';

/** Bytes of moments, and of samples, that layers looked at together may take. */
const groupBytes = 1.6e9;
/** Numbers in a patch beyond which second moments are not taken: 8 bytes for each pair of them. */
const largestPatch = 8192;

/** Whether second moments of what a layer sees are taken: of patches that are not too large, by all channels together. */
export function hasMoments(candidate: Candidate): boolean {
  const { form, group } = candidate.layer;
  return form !== 'conv-transposed' && group === 1 && patchSize(candidate) <= largestPatch;
}

/** Numbers of a patch. */
export function patchSize({ layer: { geometry } }: Candidate): number {
  return geometry.in * geometry.kernel[0] * geometry.kernel[1];
}

/** Consecutive items whose bytes fit into memory together. */
export function grouped<Item>(items: readonly Item[], bytesOf: (item: Item) => number): readonly (readonly Item[])[] {
  const groups: Item[][] = [];
  let bytes = Infinity;
  for (const item of items) {
    const own = bytesOf(item);
    bytes += own;
    if (bytes > groupBytes) {
      groups.push([]);
      bytes = own;
    }
    groups.at(-1)!.push(item);
  }
  return groups;
}

/** What the moments of a candidate take while they are summed up. */
export function momentBytes(candidate: Candidate): number {
  return 12 * candidate.layers.length * patchSize(candidate) ** 2;
}

/** Moments of the patches of several layers that share a weight, together. */
export function pool(all: readonly Moments[]): Moments {
  const [first, ...others] = all;
  if (others.length === 0) return first!;
  const count = all.reduce((sum, moments) => sum + moments.count, 0);
  const mean = new Float64Array(first!.mean.length);
  const data = new Float64Array(first!.second.data.length);
  for (const moments of all) {
    const share = moments.count / count;
    for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + share * moments.mean[i]!;
    for (let i = 0; i < data.length; i++) data[i] = data[i]! + share * moments.second.data[i]!;
  }
  return { count, mean, second: { ...first!.second, data } };
}
