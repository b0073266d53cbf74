import { LowrankError } from '../errors.js';
import type { Regularizer } from '../study/study.js';
import { checkKeys } from './config-file.js';
import type { OptionTable } from './options.js';

/** Keys and values of a part of a study file. Throws USAGE. */
export function asMapping(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  const remedy = 'write options and values below the key';
  throw new LowrankError('USAGE', `${JSON.stringify(value)} is not a mapping`, { place, remedy });
}

const decay = { type: 'number', minimum: 0, description: 'coefficient' } as const;
const regularizerKeys: OptionTable = {
  name: { type: 'string', description: 'what the reports call it' },
  weightDecay: decay,
  frobeniusDecay: decay,
};

/**
 * `weight-decay: λ`, or `frobenius-decay: λ` with the weight decay of what is in no pair, which is λ too where it is not
 * given.
 */
export function regularizerOf(value: unknown, place: string, path: string, index: number): Regularizer {
  const given = checkKeys(asMapping(value, place), regularizerKeys, path, { parent: `regularizers[${index}].` });
  const frobeniusDecay = (given['frobeniusDecay'] as number | undefined) ?? 0;
  const weightDecay = (given['weightDecay'] as number | undefined) ?? frobeniusDecay;
  const elsewhere = weightDecay === frobeniusDecay ? '' : `, weight decay ${weightDecay} elsewhere`;
  const usual =
    frobeniusDecay > 0
      ? `Frobenius decay ${frobeniusDecay}${elsewhere}`
      : weightDecay > 0
        ? `weight decay ${weightDecay}`
        : 'no decay';
  return { name: (given['name'] as string | undefined) ?? usual, weightDecay, frobeniusDecay };
}
