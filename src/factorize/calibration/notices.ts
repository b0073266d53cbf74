import type { Candidate } from '../candidates.js';
import type { Plan } from '../plan-types.js';
import { patchSize } from './moments.js';
import type { Moments } from './types.js';

/** Counts a layer of which fewer patches were seen than a patch has numbers. */
export function note(few: { layers: number; example: string }, candidate: Candidate, { count, mean }: Moments): void {
  if (count >= mean.length) return;
  if (few.layers === 0) few.example = `${candidate.layer.label}: ${count} patches of ${mean.length} numbers`;
  few.layers++;
}

/** What a user should know of such layers. */
export function fewPatches({ layers, example }: { readonly layers: number; readonly example: string }): string[] {
  if (layers === 0) return [];
  const which = layers === 1 ? '1 layer' : `${layers} layers`;
  return [
    `too few calibration images for ${which} (${example}): directions that they do not show count as average; give more`,
  ];
}

/** What a user should know of layers that are fitted without what they see. */
export function withoutMoments(plans: readonly Plan[], init: string): string[] {
  const isOfKind = ({ candidate: { layer } }: Plan): boolean => layer.form === 'conv-transposed' || layer.group > 1;
  const tooLarge = plans
    .filter((plan) => !isOfKind(plan))
    .map(
      ({ candidate }) =>
        `layer '${candidate.layer.label}': its patches of ${patchSize(candidate)} numbers are too large for second moments; fitted by ${init}`,
    );
  const others = plans.filter(isOfKind);
  if (others.length === 0) return tooLarge;
  const which = others.length === 1 ? '1 layer' : `${others.length} layers`;
  const first = others[0]!.candidate.layer.label;
  return [...tooLarge, `${which} ('${first}') of groups or transposed: fitted without images, by ${init}`];
}
