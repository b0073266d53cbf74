import type { Selection } from '../factorize/candidates.js';
import type { Fit } from '../factorize/fit.js';
import type { Layer } from '../rewrite/layers.js';
import { type PreparedModel, prepareModel, type PrepareOptions } from '../rewrite/prepare.js';
import { selectLayers } from '../factorize/select-layers.js';
import type { ConvertSettings } from '../convert/settings.js';
import { limitsOf } from '../limits.js';
import type { Driver } from '../runtime/types.js';

/** The model with its layers: what a conversion starts from. */
export interface Subject extends PreparedModel {
  readonly layers: readonly Layer[];
  readonly selection: Selection;
}

/** Reads the model anew; the caller closes `model.file`. The same layers in the same order every time. */
export async function openSubject(
  input: string,
  settings: ConvertSettings,
  driver: Driver,
  { isRun = false, signal }: Pick<PrepareOptions, 'isRun' | 'signal'> = {},
): Promise<Subject> {
  const prepared = await prepareModel(input, {
    inputShapes: settings.inputShapes,
    inputs: settings.inputs,
    driver: () => Promise.resolve(driver),
    limits: limitsOf(settings.running),
    isRun,
    foldsWeights: true,
    opensAttention: true,
    signal,
  });
  const { model, shapes, warnings } = prepared;
  try {
    const { layers, selection } = selectLayers(
      model,
      shapes,
      settings.selection,
      settings.fitting.init,
      settings.reinit ? settings : undefined,
    );
    return { ...prepared, layers, selection, warnings: [...warnings, ...selection.warnings] };
  } catch (error) {
    model.file?.close();
    throw error;
  }
}

/** Fits for one reading of a model as fits for another. */
export function transferred(fits: readonly Fit[], from: Subject, to: Subject): readonly Fit[] {
  const places = new Map(from.selection.candidates.map((candidate, index) => [candidate, index]));
  return fits.map((fit) => Object.assign({}, fit, { candidate: to.selection.candidates[places.get(fit.candidate)!]! }));
}
