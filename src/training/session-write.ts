import type { ImageFacts } from '../graph/image-facts.js';
import type { WrittenFile } from '../graph/write.js';
import { foundModel, withoutLayers } from '../adapt/found-model.js';
import { stageTrained } from '../step/export.js';
import { lengthOf } from '../step/flat.js';
import type { TrainingState } from '../step/vectors.js';
import { foldInserted } from './insert-normalization.js';
import type { TrainSettings } from './options.js';
import { type SessionModel, slotsOf } from './session-model.js';

/** Writes the model with the weights of a state: the moving averages where there are some. */
export function writeTrained(
  { prepared, source, inserted, adaptation }: SessionModel,
  { ema, tie }: TrainSettings,
  images: ImageFacts,
  state: TrainingState,
  path: string,
  replace: boolean,
): WrittenFile {
  const count = lengthOf(prepared.parameters);
  const averaged = { parameters: state.ema.subarray(0, count), statistics: state.ema.subarray(count) };
  const weights = { ...(ema === null ? state : averaged), ...slotsOf(prepared), tie };
  const own = inserted === undefined ? weights : foldInserted(weights, inserted);
  const found = adaptation && foundModel(adaptation, { state, layout: { ...prepared, optimizer: '' } }, ema !== null);
  const others = found === undefined ? own : withoutLayers(own, adaptation!.layers);
  const staged = stageTrained(found ?? source, others, path, { force: replace, images });
  try {
    return staged.commit();
  } finally {
    staged.discard();
  }
}
