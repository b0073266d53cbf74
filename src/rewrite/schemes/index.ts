import type { Scheme } from '../../contracts/convert.js';
import { channel } from './channel.js';
import { dense } from './dense.js';
import type { SchemeRule } from './scheme.js';
import { spatial } from './spatial.js';
import { tucker } from './tucker.js';

/** Every scheme by its name, in the order of the contract. Of those that apply to a layer, the first is its usual one. */
export const schemes: Readonly<Record<Scheme, SchemeRule>> = { spatial, channel, tucker, dense };

/** Those that there are, in order. */
export function schemeNames(): readonly Scheme[] {
  return Object.keys(schemes) as Scheme[];
}
