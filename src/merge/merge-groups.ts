import { LowrankError } from '../errors.js';
import { pairCounts } from '../rewrite/find-pairs.js';
import type { Pair } from '../rewrite/joined-layers.js';
import { isOutputMajor, stackRows } from '../rewrite/layout.js';
import type { Model } from '../graph/model.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { DOUBLE } from '../onnx/data-type.js';
import type { Floats } from '../ops/support/permute.js';
import { addMergedWeight, emitMerged, obstacleOf, transBOf, weightDims } from './merge-pair.js';
import { pairFactors, productInFloat64, productWeight } from '../rewrite/pair-factors.js';
import { sideBySide } from '../rewrite/side-by-side.js';

/** Pairs that read the same weights: they are merged together, into one weight, or not at all. */
type Group = readonly [Pair, ...Pair[]];

/** What is merged, and what is kept for which reason. */
export function planMerges(
  pairs: readonly Pair[],
  all: boolean,
): { readonly groups: Group[]; readonly kept: ReadonlyMap<Pair, string> } {
  const byWeights = new Map<string, Group>();
  for (const pair of pairs) {
    const key = weightsKey(pair);
    const group = byWeights.get(key);
    byWeights.set(key, group === undefined ? [pair] : [...group, pair]);
  }
  const groups: Group[] = [];
  const kept = new Map<Pair, string>();
  for (const group of byWeights.values()) {
    const reason = reasonToKeep(group, all);
    if (reason === undefined) groups.push(group);
    else for (const pair of group) kept.set(pair, reason);
  }
  return { groups, kept };
}

function reasonToKeep(group: Group, all: boolean): string | undefined {
  const obstacle = group.map(obstacleOf).find((reason) => reason !== undefined);
  if (obstacle !== undefined || all) return obstacle;
  const sum = (part: 'single' | 'pair'): number => group.reduce((macs, pair) => macs + pairCounts(pair).macs[part], 0);
  const share = sum('pair') / sum('single');
  return share < 1 ? `rank ${group[0].rank}: the pair has ${share.toFixed(2)}× the MACs of one layer` : undefined;
}

/** Pairs with equal keys have equal products in equal layouts. */
function weightsKey(pair: Pair): string {
  const part = ({ weight, form, node }: Pair['first']): unknown[] => [
    weight.source.name,
    weight.dims,
    weight.chain.map((step) => [step.opType, [...step.attributes].map(([name, { value }]) => [name, value])]),
    form,
    node.int('transB', 0),
  ];
  const alphas = pair.factors.slice(0, -1).map(({ form, node }) => (form === 'gemm' ? node.float('alpha', 1) : 1));
  return JSON.stringify([pair.factors.map(part), alphas, pair.form]);
}

export async function mergeGroups(
  model: Model,
  groups: readonly Group[],
  linalg: Linalg,
  context: {
    readonly signal: AbortSignal | undefined;
    readonly onProgress: (done: number, detail: string) => void;
  },
): Promise<void> {
  let done = 0;
  const elements = ([{ matrix }]: Group): number => matrix.rows * matrix.cols;
  const weights = await sideBySide(
    groups,
    elements,
    async ([pair]) => {
      const weight = await multiply(pair, linalg, context.signal);
      context.onProgress(++done, pair.label);
      return weight;
    },
    context.signal,
  );
  groups.forEach((group, index) => {
    const { dims, data } = weights[index]!;
    const value = addMergedWeight(model, group[0], dims, data);
    for (const pair of group) emitMerged(model, pair, value);
  });
}

/** The weight of the single layer: from one float32 GEMM for each factor but the first, or in float64 where the pair is. Throws NUMERIC where it is not finite. */
async function multiply(
  pair: Pair,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<{ readonly dims: readonly number[]; readonly data: Floats }> {
  const outputMajor = isOutputMajor(pair.form, transBOf(pair));
  const product = async (): Promise<Floats> => {
    if (pair.last.weight.dataType === DOUBLE) return productInFloat64(pair, signal);
    const products: Matrix[] = [];
    for (const { left, right } of await pairFactors(pair, linalg)) products.push(await linalg.gemm(left, right));
    return stackRows(products).data;
  };
  const data = productWeight(pair, await product(), outputMajor);
  for (const value of data) {
    if (Number.isFinite(value)) continue;
    throw new LowrankError('NUMERIC', `the product of its factors holds ${value}`, { place: `pair '${pair.label}'` });
  }
  return { dims: weightDims(pair, outputMajor), data };
}
