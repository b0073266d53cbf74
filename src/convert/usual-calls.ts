import type { ConvertCall, FindPreparation } from './call.js';
import { convert as convertWith } from './convert.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import { inits } from '../factorize/inits/index.js';
import type { ConvertReport } from '../contracts/convert.js';
import type { Preparation } from '../contracts/images.js';
import { inputsOf, whyNoPictures } from '../images/image-input.js';
import { defaultImageSettings } from '../images/image-settings.js';
import { prepareImages } from '../images/preparation.js';
import { statisticsShift } from './shift-statistics.js';
import { syntheticCalibration, type SyntheticSettings } from '../images/synthetic.js';

/** A conversion as users ask for it. */
export interface ConvertModelCall extends Omit<ConvertCall, 'calibrate'> {
  /**
   * What layers are fitted to: images (`calibration` makes it), pictures that a program draws (`syntheticCalibration`, or
   * `synthetic`), or `none`: the weights alone. Default: `usualCalibration`.
   */
  readonly calibrate?: Calibrate | 'synthetic' | 'none' | undefined;
}

/**
 * What layers are fitted to where nobody says it: synthetic pictures, wherever the model takes images and they are of use;
 * nothing where fresh weights are drawn, or with an initialization that looks at weights alone.
 */
export function usualCalibration(
  { reinit, init, seed = 0 }: Pick<ConvertCall, 'reinit' | 'init' | 'seed'>,
  settings: Partial<SyntheticSettings> = {},
): Calibrate | undefined {
  if (reinit === true) return undefined;
  if (init !== undefined && inits[init].needs === undefined) return undefined;
  return Object.assign(syntheticCalibration({ seed, ...settings }), { isOptional: init === undefined });
}

/**
 * Replaces the convolutions and dense layers of the model at `input` by low-rank pairs, chosen by what the outputs feel and
 * fitted to what the layers see, and writes the result: `lowrank convert`. See `ConvertOptions` for what is chosen how. The written
 * file is reloaded, checked and run against the original before it takes its name; counts in the report are of that file.
 *
 * Throws USAGE (contradictory or impossible options), INPUT, FORMAT, EXTERNAL_DATA, GRAPH (the input), UNSUPPORTED (nothing
 * that could be factorized, quantized models), NUMERIC (weights that are not finite), OUTPUT, VERIFY, DEVICE, RUNTIME,
 * ABORTED. Nothing is written then.
 */
export function convert(input: string, call: ConvertModelCall = {}): Promise<ConvertReport> {
  return convertWith(input, fittedTo(call));
}

/** The call with what it does not say filled in; `drawn` is of synthetic pictures. */
export function fittedTo(call: ConvertModelCall, drawn: Partial<SyntheticSettings> = {}): ConvertCall {
  const calibrate = calibrationOf(call, drawn);
  const recalibrate = call.recalibrate ?? (calibrate === undefined ? undefined : statisticsShift(calibrate));
  return { ...call, calibrate, recalibrate, findPreparation: call.findPreparation ?? foundPreparation() };
}

/** What a model tells of its images, once for a file. */
function foundPreparation(): FindPreparation {
  const found = new Map<string, Promise<Preparation | undefined>>();
  return async (model, context) => {
    if (whyNoPictures({ inputs: inputsOf(model) }) !== undefined) return undefined;
    const known =
      found.get(context.path) ??
      prepareImages(model, defaultImageSettings, { ...context, isDrawn: true }).then(({ report }) => report);
    found.set(context.path, known);
    return known;
  };
}

function calibrationOf(call: ConvertModelCall, drawn: Partial<SyntheticSettings>): Calibrate | undefined {
  const { calibrate, seed = 0 } = call;
  if (calibrate === 'none') return undefined;
  if (calibrate === 'synthetic') return syntheticCalibration({ seed, ...drawn });
  return calibrate ?? usualCalibration(call, drawn);
}
