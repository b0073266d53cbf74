import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { ShapeTable } from '../ops/infer.js';
import { type Selection, selectCandidates } from './candidates.js';
import { findLayers, type Layer } from '../rewrite/layers.js';
import { reinitialize } from '../rewrite/reinit.js';
import type { SelectionSettings } from './settings.js';
import type { InitName } from './types.js';

/**
 * The layers of a model and which of them are to be factorized, their weights drawn anew first with `reinit`.
 * Throws UNSUPPORTED where no layer could ever be, and what `selectCandidates` throws.
 */
export function selectLayers(
  model: Model,
  shapes: ShapeTable,
  settings: SelectionSettings,
  init: InitName,
  reinit?: { readonly seed: number },
): { readonly layers: readonly Layer[]; readonly selection: Selection } {
  let layers = findLayers(model.graph, shapes);
  refuseHopeless(model, layers);
  if (reinit !== undefined) {
    reinitialize(model, layers, reinit.seed);
    layers = findLayers(model.graph, shapes);
  }
  return { layers, selection: selectCandidates(model, layers, settings, init) };
}

/** Models in which no layer could ever be factorized. */
function refuseHopeless(model: Model, layers: readonly Layer[]): void {
  if (layers.some((layer) => layer.kind === 'factorizable')) return;
  const place = model.file?.source.label ?? 'model';
  const quantized = layers.filter((layer) => layer.kind === 'fixed' && layer.reason.startsWith('quantized'));
  if (quantized.length > 0) {
    throw new LowrankError(
      'UNSUPPORTED',
      `the model is quantized (${quantized.length} of its ${layers.length} layers)`,
      {
        place,
        remedy: 'convert the float32 model that it was made from, then quantize the result',
      },
    );
  }
  const reasons = [...new Set(layers.map((layer) => (layer.kind === 'fixed' ? layer.reason : '')))].join('; ');
  throw new LowrankError('UNSUPPORTED', 'no convolution or dense layer that could be factorized', {
    place,
    remedy: reasons === '' ? 'the graph has none' : `what there is: ${reasons}`,
  });
}
