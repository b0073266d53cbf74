import { LowrankError } from '../errors.js';
import { trainRanges } from '../training/ranges.js';
import { scheduleNames } from '../training/schedule.js';

const schedule = 'Schedule';

/** Options of `train` for how the learning rate rises and falls. */
export const scheduleOptions = {
  warmup: { ...trainRanges.warmup, group: schedule, description: 'epochs of rising learning rate (default: 0)' },
  schedule: {
    type: 'string',
    choices: scheduleNames,
    group: schedule,
    description: 'how the learning rate falls (default: cosine)',
  },
  minLr: { ...trainRanges.minLr, group: schedule, description: 'where the cosine ends (default: 0)' },
  decayEvery: {
    ...trainRanges.decayEvery,
    group: schedule,
    placeholder: 'epochs',
    description: 'step schedule: epochs between two reductions (default: 30)',
  },
  decayAt: {
    type: 'string',
    placeholder: 'epoch,epoch',
    group: schedule,
    description: 'step schedule: epochs behind which the rate is reduced, in place of --decay-every',
  },
  decayFactor: {
    ...trainRanges.decayFactor,
    group: schedule,
    description: 'step schedule: factor of a reduction (default: 0.1)',
  },
} as const;

/** "150,250". Throws USAGE. */
export function epochsOf(text: string | undefined): readonly number[] | undefined {
  if (text === undefined) return undefined;
  const words = text.split(',').map((word) => word.trim());
  if (words.every((word) => word !== '' && Number(word) > 0 && Number.isFinite(Number(word)))) return words.map(Number);
  throw new LowrankError('USAGE', `--decay-at is '${text}'`, { remedy: 'give epochs above 0, such as 150,250' });
}
