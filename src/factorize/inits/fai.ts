import type { Init } from '../types.js';
import { spectral } from './spectral.js';

/**
 * Function approximation at initialization (arXiv 2202.00834, Definition 2.2): all pairs of the network fitted at once,
 * E‖f_{UV}(x) − f_W(x)‖² of its outputs, x ~ N(0, I). What is given here is where that starts: the truncated SVDs.
 */
export const fai: Init = {
  name: 'fai',
  summary: 'the whole network fitted at once to the outputs of the original on random inputs, from the truncated SVDs',
  isSampled: true,
  isWhole: true,
  fitDefaults: { steps: 300, batch: 32 },
  fit: (problem) => spectral.fit(problem),
};
