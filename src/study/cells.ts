import { createHash } from 'node:crypto';
import { inits } from '../factorize/inits/index.js';
import type { ConvertOptions } from '../convert/options.js';
import type { InitName } from '../factorize/types.js';
import { defaultTrainSettings, type TrainSettings } from '../training/options.js';
import type { Regularizer, Study, StudyArchitecture } from './study.js';

/** One training of the grid. */
export interface Cell {
  readonly architecture: StudyArchitecture;
  readonly regularizer: Regularizer;
  /** null: full rank. */
  readonly lowRank: { readonly rankScale: number; readonly init: InitName } | null;
  readonly seed: number;
}

/**
 * The cells in the order they are trained in: every condition gets its first seed before any gets its second, so a study
 * that is stopped early can be read.
 */
export function cellsOf(study: Study): readonly Cell[] {
  const lowRank = study.rankScales.flatMap((rankScale) => study.inits.map((init) => ({ rankScale, init })));
  const ranks = study.fullRank ? [null, ...lowRank] : lowRank;
  return study.seeds.flatMap((seed) =>
    study.architectures.flatMap((architecture) =>
      study.regularizers.flatMap((regularizer) =>
        ranks.map((rank): Cell => ({ architecture, regularizer, lowRank: rank, seed })),
      ),
    ),
  );
}

/**
 * Settings of a cell's conversion; those of sampled fits only where the initialization samples. At full rank only the
 * weights are re-drawn.
 */
export function convertOptionsOf(study: Study, { lowRank, seed }: Cell): ConvertOptions {
  const { fitSteps, fitBatch, fitLr, fitSchedule, ...others } = study.convert;
  const sampled = { fitSteps, fitBatch, fitLr, fitSchedule };
  const given = Object.entries(sampled).filter(([, value]) => value !== undefined);
  const isSampled = lowRank !== null && inits[lowRank.init].isSampled === true;
  return { ...others, ...(isSampled ? Object.fromEntries(given) : {}), ...lowRank, seed, reinit: true };
}

/**
 * Settings of a cell's training: defaults < study < architecture < cell. A layer of full rank is its own product U·V, so
 * there Frobenius decay is weight decay of the same coefficient, and the reference run of both is one.
 */
export function trainSettingsOf(study: Study, { architecture, regularizer, lowRank, seed }: Cell): TrainSettings {
  const { weightDecay, frobeniusDecay } = regularizer;
  const fullRankDecay = frobeniusDecay > 0 ? frobeniusDecay : weightDecay;
  return {
    ...defaultTrainSettings,
    ...study.train,
    ...architecture.train,
    weightDecay: lowRank === null ? fullRankDecay : weightDecay,
    frobeniusDecay: lowRank === null ? 0 : frobeniusDecay,
    seed,
  };
}

/** Settings that say where and how safely a training runs, not what comes out of it but for rounding. */
const free: ReadonlySet<string> = new Set<keyof TrainSettings>([
  'checkpointEvery',
  'keepCheckpoints',
  'saveEvery',
  'workers',
  'cache',
  'threads',
  'device',
  'target',
  'maxBad',
]);

/** Options of conversion of the same kind. */
const freeOfConversion: ReadonlySet<string> = new Set<keyof ConvertOptions>([
  'threads',
  'device',
  'verify',
  'force',
  'inputShapes',
]);

/** Hashes of what a cell starts from. */
export interface CellContent {
  readonly model: string;
  readonly train: string;
  readonly val: string;
}

/**
 * The identity of a cell: a hash of its model, images and settings. Settings count where they differ from the default, so
 * that a version with a further option still knows the cells of the one before.
 */
export function cellId(study: Study, cell: Cell, content: CellContent): string {
  const settings = trainSettingsOf(study, cell);
  const train = Object.entries(settings).filter(
    ([name, value]) =>
      !free.has(name) && JSON.stringify(value) !== JSON.stringify(defaultTrainSettings[name as keyof TrainSettings]),
  );
  const convert = Object.entries(convertOptionsOf(study, cell)).filter(
    ([name]) => cell.lowRank !== null && !freeOfConversion.has(name),
  );
  const text = JSON.stringify({ ...content, convert: sorted(convert), train: sorted(train), seed: cell.seed });
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function sorted(entries: readonly (readonly [string, unknown])[]): readonly (readonly [string, unknown])[] {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** "resnet8_cifar, rank scale 0.05, lfai, weight decay 0.0001, seed 0": a cell in messages. */
export function cellName({ architecture, regularizer, lowRank, seed }: Cell): string {
  const rank = lowRank === null ? 'full rank' : `rank scale ${lowRank.rankScale}, ${lowRank.init}`;
  return `${architecture.name}, ${rank}, ${regularizer.name}, seed ${seed}`;
}
