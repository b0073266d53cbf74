import type { RecoverReport } from '../contracts/recover.js';
import { summarize } from '../rewrite/prepare.js';
import { describeMatching } from '../step/prepare-matching.js';
import type { OpenedRecovery } from './open.js';
import type { RecoverOptions } from './recover.js';

/** What a recovery works with, as reports say it. */
export function describeInputs(
  { data, val, model, teacher }: RecoverOptions,
  { settings, images, judge, preparation, prepared, batchNorm, taught }: OpenedRecovery,
): Pick<RecoverReport, 'seed' | 'model' | 'teacher' | 'settings' | 'data' | 'preparation' | 'matching'> {
  return {
    seed: settings.seed,
    model: summarize(prepared.model, prepared.shapesFor(1), model),
    teacher: summarize(prepared.teacher.model, prepared.teacher.shapesFor(1), teacher),
    settings: { ...settings },
    data: {
      path: data,
      images: images.training.length,
      heldOut: { path: val ?? data, images: judge.images, from: images.heldOutFrom },
    },
    ...(preparation === undefined ? {} : { preparation }),
    matching: {
      ...describeMatching(prepared),
      batchNorm,
      teacher: taught === undefined ? 'in every update' : 'once',
    },
  };
}
