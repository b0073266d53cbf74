import { foundModel, withoutLayers } from '../adapt/found-model.js';
import { wholeLayers } from '../adapt/whole-layers.js';
import type { ImageFacts } from '../graph/image-facts.js';
import type { WrittenFile } from '../graph/write.js';
import { stageTrained } from '../step/export.js';
import { lengthOf } from '../step/flat.js';
import type { TrainingState } from '../step/vectors.js';
import { foldInserted } from './insert-normalization.js';
import type { TrainSettings } from './options.js';
import { type SessionModel, slotsOf } from './session-model.js';

/** Writes a trained model, in the place of another with `replace`. */
export type WriteTrained = (path: string, replace?: boolean) => WrittenFile;

/** The model with the weights of a state, the moving averages where there are some; layers whose pairs save nothing are in one piece. */
export async function trainedModel(
  { prepared, source, inserted, adaptation }: SessionModel,
  { ema, tie }: TrainSettings,
  images: ImageFacts,
  state: TrainingState,
): Promise<WriteTrained> {
  const count = lengthOf(prepared.parameters);
  const averaged = { parameters: state.ema.subarray(0, count), statistics: state.ema.subarray(count) };
  const weights = { ...(ema === null ? state : averaged), ...slotsOf(prepared), tie };
  const own = inserted === undefined ? weights : foldInserted(weights, inserted);
  const layout = { ...prepared, optimizer: '' };
  const pairs = adaptation && foundModel(adaptation, { state, layout }, ema !== null);
  const found = pairs && (await wholeLayers(pairs, adaptation));
  const others = found === undefined ? own : withoutLayers(own, adaptation!.layers);
  return (path, replace = false) => {
    const staged = stageTrained(found ?? source, others, path, { force: replace, images });
    try {
      return staged.commit();
    } finally {
      staged.discard();
    }
  };
}
