import { createHash } from 'node:crypto';
import type { StudyTreatment } from '../contracts/study.js';
import { inits } from '../factorize/inits/index.js';
import { defaultImageSettings, type ImageSettings } from '../images/image-settings.js';
import { defaultRecoverSettings, type RecoverSettings } from '../recover/settings.js';
import type { ConvertOptions } from '../convert/options.js';
import type { InitName } from '../factorize/types.js';
import { defaultTrainSettings, type RunningSettings, type TrainSettings } from '../training/options.js';
import { isDrawn, recovers, type Regularizer, type Study, type StudyArchitecture, treatmentsOf } from './study.js';

/** One training of the grid. */
export interface Cell {
  readonly architecture: StudyArchitecture;
  readonly treatment: StudyTreatment;
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
      treatmentsOf(study).flatMap((treatment) =>
        study.regularizers.flatMap((regularizer) =>
          ranks
            .filter((rank) => rank !== null || treatment === 'labels')
            .map((rank): Cell => ({ architecture, treatment, regularizer, lowRank: rank, seed })),
        ),
      ),
    ),
  );
}

/**
 * Settings of a cell's conversion; those of sampled fits only where the initialization samples. At full rank at most
 * the weights are re-drawn.
 */
export function convertOptionsOf(study: Study, { lowRank, seed }: Cell): ConvertOptions {
  const { fitSteps, fitBatch, fitLr, fitSchedule, ...others } = study.convert;
  const sampled = { fitSteps, fitBatch, fitLr, fitSchedule };
  const given = Object.entries(sampled).filter(([, value]) => value !== undefined);
  const isSampled = lowRank !== null && inits[lowRank.init].isSampled === true;
  return { ...others, ...(isSampled ? Object.fromEntries(given) : {}), ...lowRank, seed, reinit: isDrawn(study) };
}

/**
 * Settings of a cell's training: defaults < study < architecture < cell. A layer of full rank is its own product U·V, so
 * there Frobenius decay is weight decay of the same coefficient, and the reference run of both is one.
 */
export function trainSettingsOf(study: Study, cell: Cell): TrainSettings {
  const { architecture, regularizer, lowRank, seed, treatment } = cell;
  const { weightDecay, frobeniusDecay } = regularizer;
  const fullRankDecay = frobeniusDecay > 0 ? frobeniusDecay : weightDecay;
  const settings: TrainSettings = {
    ...defaultTrainSettings,
    ...study.train,
    ...architecture.train,
    weightDecay: lowRank === null ? fullRankDecay : weightDecay,
    frobeniusDecay: lowRank === null ? 0 : frobeniusDecay,
    seed,
  };
  if (lowRank === null) return settings;
  if (treatment === 'adapt-ranks') return { ...settings, ...adaptOf(study, architecture), frobeniusDecay: 0 };
  if (treatment !== 'warmup-full') return settings;
  const { rankScale, init } = lowRank;
  const warmupFull = study.warmupFull ?? Math.max(1, Math.floor(settings.epochs / 3));
  return { ...settings, warmupFull, conversion: { ...study.convert, rankScale, init } };
}

/** How ranks are found: of the layers that conversions take, as far as options say. */
function adaptOf({ adapt, convert }: Study, architecture: StudyArchitecture): Partial<TrainSettings> {
  const { scheme, include, exclude, keepFirst, keepLast } = convert;
  const given = Object.entries({ include, exclude, keepFirst, keepLast }).filter(([, value]) => value !== undefined);
  return {
    adaptRanks: 'augmented',
    ...Object.fromEntries(given),
    ...(scheme === 'channel' || scheme === 'spatial' ? { scheme } : {}),
    ...adapt,
    ...architecture.adapt,
  };
}

const imageNames = Object.keys(defaultImageSettings) as readonly (keyof ImageSettings)[];
/** What a recovery and an evaluation run like the study's trainings do. */
const runningNames = [
  ...(['device', 'target', 'threads', 'workers', 'maxBad', 'allowCpuNodes'] as const),
  ...(['tf32', 'nhwc', 'convSearch', 'cudaGraphs', 'gpuMemory'] as const),
] satisfies readonly (keyof RunningSettings | 'maxBad')[];

/** How images become inputs, and where a cell runs. */
export function surroundingsOf(
  study: Study,
  cell: Cell,
): Pick<TrainSettings, keyof ImageSettings | (typeof runningNames)[number]> {
  const settings = trainSettingsOf(study, cell);
  return Object.fromEntries([...imageNames, ...runningNames].map((name) => [name, settings[name]])) as ReturnType<
    typeof surroundingsOf
  >;
}

/** Settings of a cell's recovery. A regularizer belongs to the training on labels. */
export function recoverSettingsOf(study: Study, cell: Cell): RecoverSettings {
  return { ...defaultRecoverSettings, ...study.recover, ...surroundingsOf(study, cell), seed: cell.seed };
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

/** Options of conversion that say nothing of sizes: where ranks are found, they change nothing. */
const ofFits: ReadonlySet<string> = new Set<keyof ConvertOptions>([
  ...(['init', 'fitSteps', 'fitBatch', 'fitLr', 'fitSchedule'] as const),
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
  const { treatment } = cell;
  const settings = trainSettingsOf(study, cell);
  const train = changed(settings, defaultTrainSettings).filter(
    ([name]) => treatment !== 'recovery' || Object.hasOwn(defaultImageSettings, name),
  );
  const recovery = recovers(treatment) ? changed(recoverSettingsOf(study, cell), defaultRecoverSettings) : undefined;
  const convert = Object.entries(convertOptionsOf(study, cell)).filter(
    ([name]) =>
      cell.lowRank !== null && !freeOfConversion.has(name) && !(treatment === 'adapt-ranks' && ofFits.has(name)),
  );
  const text = JSON.stringify({
    ...content,
    convert: sorted(convert),
    train: sorted(train),
    ...(isDrawn(study) ? {} : { weights: 'own' }),
    ...(recovery === undefined ? {} : { recover: sorted(recovery) }),
    seed: cell.seed,
  });
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** What counts of settings: those that differ from the default. */
function changed<Settings extends object>(
  settings: Settings,
  usual: Settings,
): readonly (readonly [string, unknown])[] {
  return Object.entries(settings).filter(
    ([name, value]) => !free.has(name) && JSON.stringify(value) !== JSON.stringify(usual[name as keyof Settings]),
  );
}

function sorted(entries: readonly (readonly [string, unknown])[]): readonly (readonly [string, unknown])[] {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** "resnet8_cifar, rank scale 0.05, lfai, weight decay 0.0001, seed 0": a cell in messages. */
export function cellName({ architecture, treatment, regularizer, lowRank, seed }: Cell): string {
  const rank = lowRank === null ? 'full rank' : `rank scale ${lowRank.rankScale}, ${lowRank.init}`;
  const how = [...(treatment === 'labels' ? [] : [treatment]), ...(treatment === 'recovery' ? [] : [regularizer.name])];
  return [architecture.name, rank, ...how, `seed ${seed}`].join(', ');
}
