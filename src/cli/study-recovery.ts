import type { AdaptSettings } from '../adapt/settings.js';
import { LowrankError } from '../errors.js';
import type { RecoverSettings } from '../recover/settings.js';
import { recovers, type Study, treatmentNames, treatmentsOf } from '../study/study.js';
import { checkValue, type GivenValues, mergeSettings, type OptionTable, type SettingsOf } from './options.js';
import { givenAdaptSettings } from './adapt-options.js';
import { commandOptions, recoverSettingsFor } from './recovery.js';

const { steps, match, matchTensors, temperature, labelWeight, batchNorm } = commandOptions;
const { batchSize, lr, augment, minScale, flip } = commandOptions;

/** Options of a recovery that stand in a study file. How images are used, and where cells run, is what `train` says. */
export const recoverTable: OptionTable = {
  ...{ steps, match, matchTensors, temperature, labelWeight, batchNorm },
  ...{ batchSize, lr, augment, minScale, flip },
};

const { adaptRanks, tolerance, coefficientSteps, minRank, maxRank, startRank } = commandOptions;

/** Options of trainings that find their ranks which stand in a study file. */
export const adaptTable: OptionTable = { adaptRanks, tolerance, coefficientSteps, minRank, maxRank, startRank };

/** Of the treatment `warmup-full`. */
export const fullEpochs = { type: 'integer', minimum: 1, description: 'epochs in full rank' } as const;

/** The settings of what a study file gives trainings that find their ranks. */
export function adaptSettings(given: GivenValues): Partial<AdaptSettings> {
  const all = mergeSettings(commandOptions, { data: '', ...given }, {}) as SettingsOf<typeof commandOptions>;
  const settings = givenAdaptSettings(all);
  return Object.fromEntries(Object.entries(settings).filter(([name]) => Object.hasOwn(adaptTable, name)));
}

/** The settings of what a study file gives a recovery. */
export function recoverSettings(given: GivenValues): Partial<RecoverSettings> {
  const all = mergeSettings(commandOptions, { data: '', ...given }, {}) as SettingsOf<typeof commandOptions>;
  return recoverSettingsFor(all);
}

export const treatmentOf = (value: unknown, place: string): (typeof treatmentNames)[number] =>
  checkValue({ type: 'string', choices: treatmentNames, description: '' }, value, place) as ReturnType<
    typeof treatmentOf
  >;

/** Throws USAGE for a study whose treatments do not go with the rest of it. */
export function checkTreatments(study: Study, path: string): void {
  const treatments = treatmentsOf(study);
  const fail = (fact: string, key: string, remedy: string): never => {
    throw new LowrankError('USAGE', fact, { place: `key '${key}' in ${path}`, remedy });
  };
  for (const [key, treatment, given] of [
    ['adapt', 'adapt-ranks', study.adapt ?? study.architectures.find(({ adapt }) => adapt !== undefined)?.adapt],
    ['warmup-full', 'warmup-full', study.warmupFull],
  ] as const) {
    if (given === undefined || treatments.includes(treatment)) continue;
    fail(
      `no training is of the treatment '${treatment}'`,
      key,
      `add '${treatment}' to the treatments, or leave it out`,
    );
  }
  if (!treatments.some(recovers) && Object.keys(study.recover ?? {}).length > 0) {
    fail('nothing is recovered', 'recover', "give 'treatments: [labels, recovery]', or leave it out");
  }
  if (!study.fullRank || treatments.includes('labels')) return;
  fail(
    treatments.every(recovers)
      ? 'at full rank nothing is lost that could be recovered'
      : 'references at full rank are trained on labels',
    'full-rank',
    "add 'labels' to the treatments, or leave it out",
  );
}
