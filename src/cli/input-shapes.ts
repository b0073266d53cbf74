import { LowrankError } from '../errors.js';

/** `name=1,3,224,224` (several flags) to shapes by input name. Throws USAGE. */
export function parseInputShapes(flags: readonly string[]): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {};
  for (const flag of flags) {
    const at = flag.lastIndexOf('=');
    const dims = flag
      .slice(at + 1)
      .split(',')
      .map(Number);
    const isWhole = dims.every((dim) => Number.isSafeInteger(dim) && dim > 0);
    if (at <= 0 || !isWhole) {
      throw new LowrankError('USAGE', `--input-shape '${flag}' is not a shape`, {
        remedy: 'write it as name=1,3,224,224',
      });
    }
    shapes[flag.slice(0, at)] = dims;
  }
  return shapes;
}
