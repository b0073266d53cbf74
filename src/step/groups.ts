import { LowrankError } from '../errors.js';
import type { Slot } from './flat.js';
import type { Parameter } from './prepare.js';
import type { RuleName } from './rules/index.js';
import type { RuleSettings } from './rules/rule.js';
import type { GraphSettings } from './settings.js';

/** Parameters that are updated by one rule with one setting. */
export interface UpdateGroup {
  readonly rule: RuleName;
  readonly settings: RuleSettings;
  /** Its learning rate over that of the training. */
  readonly rateFactor: number;
  /** Of those of its parameters that are decayed. */
  readonly weightDecay: number;
  /** Largest norm of its gradient; null: no clipping. */
  readonly clip: number | null;
  /** Whether a parameter is of the group. Each is of exactly one. */
  has(parameter: Parameter): boolean;
}

/** All parameters, as the settings say. */
export function oneGroup(settings: GraphSettings): UpdateGroup {
  const { optimizer, weightDecay, clip } = settings;
  return { rule: optimizer, settings, rateFactor: 1, weightDecay, clip, has: () => true };
}

/** A stretch of a flat vector, in elements. */
export type Run = Pick<Slot, 'offset' | 'size'>;

/** The parameters of each group, in their order. Throws INTERNAL where one is of none, or of two. */
export function membersOf(
  parameters: readonly Parameter[],
  groups: readonly UpdateGroup[],
): readonly (readonly Parameter[])[] {
  for (const parameter of parameters) {
    const count = groups.filter((group) => group.has(parameter)).length;
    if (count !== 1) throw new LowrankError('INTERNAL', `'${parameter.name}' is of ${count} groups of parameters`);
  }
  return groups.map((group) => parameters.filter((parameter) => group.has(parameter)));
}

/** Where parameters lie, neighbours together. */
export function runsOf(parameters: readonly Run[]): readonly Run[] {
  const runs: { offset: number; size: number }[] = [];
  for (const { offset, size } of parameters) {
    const last = runs.at(-1);
    if (last !== undefined && last.offset + last.size === offset) last.size += size;
    else runs.push({ offset, size });
  }
  return runs;
}
