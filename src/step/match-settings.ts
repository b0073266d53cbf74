import type { GraphSettings } from '../contracts/train-settings.js';
import { LowrankError } from '../errors.js';
import { checkChoices, checkRanges, notNegative, positive } from '../range.js';
import { type MatchName, matchNames } from './match-points.js';
import { defaultGraphSettings } from './settings.js';

/** How a model is made to compute what another does. */
export interface MatchSettings {
  readonly match: MatchName;
  /** Globs of values that both models have, in place of those that `match` finds; null: none. */
  readonly matchTensors: readonly string[] | null;
  /** What logits are divided by before they are compared. */
  readonly temperature: number;
  /** Of the labels' loss; 0: labels are not read. */
  readonly labelWeight: number;
  /** Whether BatchNormalization keeps its running statistics, or normalizes by those of each batch and moves them. */
  readonly batchNorm: 'frozen' | 'batch';
}

export const defaultMatchSettings: MatchSettings = {
  match: 'auto',
  matchTensors: null,
  temperature: 1,
  labelWeight: 0,
  batchNorm: 'frozen',
};

/** Of a step that follows a teacher. */
export const matchingGraphSettings: GraphSettings = { ...defaultGraphSettings, optimizer: 'adam', weightDecay: 0 };

export const matchRanges = { temperature: positive, labelWeight: notNegative } as const;

/** Throws USAGE for values that no matching can mean, and for what would do nothing beside a teacher. */
export function checkMatchSettings(
  settings: Pick<MatchSettings, 'match' | 'temperature' | 'labelWeight'> &
    Pick<GraphSettings, 'precision' | 'dropout' | 'dropPath' | 'labelSmoothing'>,
): void {
  checkRanges(matchRanges, settings);
  checkChoices({ match: matchNames }, settings);
  const { precision, dropout, dropPath, labelSmoothing, labelWeight } = settings;
  const refuse = (fact: string, place: string): never => {
    throw new LowrankError('USAGE', fact, { place, remedy: 'leave it out' });
  };
  if (precision !== 'float32') refuse(`a teacher is followed in float32 alone, not in ${precision}`, '--precision');
  if (dropout !== null) refuse('a model that follows a teacher is trained without dropout', '--dropout');
  if (dropPath > 0) refuse('a model that follows a teacher is trained without dropped paths', '--drop-path');
  if (labelSmoothing > 0 && labelWeight === 0) refuse('no labels are read that could be smoothed', '--label-smoothing');
}
