import type { FactorizableLayer } from '../rewrite/layers.js';
import type { Value } from '../graph/value.js';
import type { Candidate } from './candidates.js';

/** Candidates that multiply one input, two or more each, in graph order: one product of them all could be factorized in their place. */
export function joinable(candidates: readonly Candidate[]): readonly (readonly Candidate[])[] {
  const groups = new Map<Value, Candidate[]>();
  for (const candidate of candidates) {
    const input = candidate.layer.node.inputs[0];
    if (input === undefined || !isPlainProduct(candidate)) continue;
    groups.set(input, [...(groups.get(input) ?? []), candidate]);
  }
  return [...groups.values()].flatMap((group) => {
    const [{ layer: first }] = group as [Candidate];
    const same = group.filter(({ layer }) => layer.weight.dataType === first.weight.dataType);
    return same.length > 1 ? [same] : [];
  });
}

/** x·W with a stored W of its own, and nothing behind it that an initialization would fit. */
function isPlainProduct({ layer, layers, activation, form }: Candidate): boolean {
  return layers.length === 1 && activation.kind === 'linear' && form === undefined && hasOwnMatrix(layer);
}

function hasOwnMatrix({ node, form, group, weight, weightInput }: FactorizableLayer): boolean {
  const value = node.inputs[weightInput];
  const isStored = value === weight.source && value.tensor !== undefined && value.uses.length === 1 && !value.isOutput;
  return form === 'matmul-right' && node.domain === '' && group === 1 && isStored && weight.dims.length === 2;
}
