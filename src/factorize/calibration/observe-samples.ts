import { inferShapes } from '../../ops/infer.js';
import type { Candidate } from '../candidates.js';
import { factorizable, probe, sameLayer } from './fit-on-data.js';
import { patchSize } from './moments.js';
import { type ImageContext, openImages } from './open-images.js';
import { sourceOf } from './frontier.js';
import { observationPoint } from './observation-point.js';
import { positionsPerImage } from './probe.js';
import type { Calibrate, LayerSamples } from './types.js';

/** Patches of each layer, and the bytes that those of all layers may take. */
const mostSamples = 2048;
const mostBytes = 256e6;

/**
 * What the layers see in the original model on calibration images, with the argument of the activation that it leads to: in
 * one pass. Of layers that share a weight, what the first one sees. Throws what `calibrate` throws, NUMERIC for what is not
 * finite.
 */
export async function observeSamples(
  candidates: readonly Candidate[],
  calibrate: Calibrate,
  context: ImageContext,
): Promise<ReadonlyMap<Candidate, LayerSamples>> {
  if (candidates.length === 0) return new Map();
  const { copy, shapes, images } = await openImages(calibrate, context);
  try {
    const rowBytes = candidates.reduce((sum, each) => sum + 4 * (patchSize(each) + each.layer.geometry.out), 0);
    const samples = Math.max(1, Math.min(mostSamples, Math.floor(mostBytes / rowBytes)));
    const wanted = Math.max(1, Math.ceil(samples / images.images));
    const run = { ...context, images };
    const measured = await probe(run, sourceOf(copy, images), `${candidates.length} layers`, (layers, probed, graph) =>
      candidates.map(({ layer }) => {
        const same = sameLayer(layers, layer);
        const positions = Math.min(wanted, positionsPerImage(same, images.dims[0] ?? 1));
        const { value } = observationPoint(graph, same, probed);
        return {
          layer: same,
          momentPositions: 0,
          inputPositions: positions,
          observed: value,
          observedPositions: positions,
        };
      }),
    );
    const own = factorizable(copy, inferShapes(copy, { inputShapes: { [images.input]: images.dims } }));
    return new Map(
      candidates.map((candidate): [Candidate, LayerSamples] => {
        const { inputs, observed } = measured.get(candidate.layer.name)!;
        const { scale, activation } = observationPoint(copy.graph, sameLayer(own, candidate.layer), shapes);
        return [candidate, { inputs: inputs!, current: observed!, target: observed!, scale, activation }];
      }),
    );
  } finally {
    await images.close();
  }
}
