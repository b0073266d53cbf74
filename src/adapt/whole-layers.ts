import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import type { Linalg } from '../linalg/types.js';
import { mergeGroups, planMerges } from '../merge/merge-groups.js';
import { type InferOptions, inferShapes } from '../ops/infer.js';
import { findPairs } from '../rewrite/find-pairs.js';
import { findLayers } from '../rewrite/layers.js';
import { readPairs, writePairs } from '../rewrite/pairs.js';
import type { AdaptedLayer } from './layers.js';

interface Adapted extends Required<Pick<InferOptions, 'inputShapes'>> {
  readonly layers: readonly AdaptedLayer[];
  readonly linalg: Linalg;
}

/** The model with one layer in the place of each adapted pair that has as many parameters. Throws NUMERIC where a product is not finite. */
export async function wholeLayers(bytes: Uint8Array, { layers, inputShapes, linalg }: Adapted): Promise<Uint8Array> {
  const model = readModel(bytes);
  try {
    const byLeft = new Map(layers.map((layer) => [layer.left, layer]));
    const isWhole = (left: string | undefined, rank: number): boolean =>
      left !== undefined && rank >= (byLeft.get(left)?.wholeFrom ?? Infinity);
    const kept = readPairs(model).filter(({ factors, rank }) => !isWhole(factors.at(-1), rank));
    const { pairs } = findPairs(model, findLayers(model.graph, inferShapes(model, { inputShapes })));
    const whole = pairs.filter(({ last, rank }) => isWhole(last.weight.source.name, rank));
    if (whole.length === 0) return bytes;
    const { groups } = planMerges(whole, true);
    await mergeGroups(model, groups, linalg, { signal: undefined, onProgress: () => undefined });
    writePairs(model, kept);
    return modelBytes(model);
  } finally {
    model.file?.close();
  }
}
