import type { OptimizerName } from '../../contracts/train-settings.js';
import { adam } from './adam.js';
import { adamw } from './adamw.js';
import { gradient } from './gradient.js';
import { rmsprop } from './rmsprop.js';
import type { UpdateRule } from './rule.js';
import { sgd } from './sgd.js';

/** Every update rule by the name that `--optimizer` knows it by. */
const offered = { sgd, adam, adamw, rmsprop } as const satisfies Readonly<Record<OptimizerName, UpdateRule>>;

/** Those, and `gradient`, which no training is told. */
export const updateRules: Readonly<Record<RuleName, UpdateRule>> = { ...offered, gradient };

export type RuleName = OptimizerName | 'gradient';
