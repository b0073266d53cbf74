import type { OptimizerName } from '../../contracts/train-settings.js';
import { adam } from './adam.js';
import { adamw } from './adamw.js';
import { rmsprop } from './rmsprop.js';
import type { UpdateRule } from './rule.js';
import { sgd } from './sgd.js';

/** Every update rule by the name that `--optimizer` knows it by. */
export const updateRules = { sgd, adam, adamw, rmsprop } as const satisfies Readonly<Record<OptimizerName, UpdateRule>>;
