import { LowrankError } from '../../errors.js';
import type { Init, InitName } from '../types.js';
import { baseline } from './baseline.js';
import { fai } from './fai.js';
import { lfaiAdam } from './lfai-adam.js';
import { lfaiWsAdam } from './lfai-ws-adam.js';
import { lfaiData } from './lfai-data.js';
import { lfai } from './lfai.js';
import { reluSvd } from './relu-svd.js';
import { spectralScaled } from './spectral-scaled.js';
import { spectral } from './spectral.js';
import { whitened } from './whitened.js';

/** Every initialization: a name without a line here, or a line without a name, does not compile. */
export const inits: Readonly<Record<InitName, Init>> = {
  spectral,
  'spectral-scaled': spectralScaled,
  lfai,
  'lfai-adam': lfaiAdam,
  'lfai-ws-adam': lfaiWsAdam,
  fai,
  'relu-svd': reluSvd,
  baseline,
  whitened,
  'lfai-data': lfaiData,
};

/** In the order of the table. */
export const initNames = Object.keys(inits) as readonly InitName[];

/** Throws USAGE where `init`, named `label` in the message, needs calibration images and there are none. */
export function requireImages(init: InitName, hasImages: boolean, label: string = init): void {
  if (inits[init].needs === undefined || hasImages) return;
  throw new LowrankError('USAGE', `${label} fits layers to what they see, and there are no images`, {
    remedy: 'give --calibrate and a folder of images (a few hundred, without labels)',
  });
}
