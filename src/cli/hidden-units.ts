import { LowrankError } from '../errors.js';

/** "500,500": units of the hidden layers. Throws USAGE. */
export function unitsOf(text: string | undefined): readonly number[] | undefined {
  if (text === undefined) return undefined;
  const words = text.split(',').map((word) => word.trim());
  if (words.every((word) => /^\d+$/.test(word))) return words.map(Number);
  throw new LowrankError('USAGE', `--hidden is '${text}'`, {
    remedy: 'give the units of each hidden layer, such as 500,500',
  });
}
