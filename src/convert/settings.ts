import { LowrankError } from '../errors.js';
import { dataLocation } from '../graph/write.js';
import { checkedLimits, defaultVerifyTimeout, type LimitOptions } from '../limits.js';
import type { Device } from '../runtime/types.js';
import type { Balance } from '../factorize/balance.js';
import type { EngineName } from '../factorize/engine.js';
import { describeFit, fitSettingsOf } from '../factorize/sampled/options.js';
import type { FitSettings } from '../factorize/sampled/settings.js';
import { isLatencyBudget, type RankMode, type RankSettings, type SelectionSettings } from '../factorize/settings.js';
import type { InitName } from '../factorize/types.js';
import type { ConvertOptions } from './options.js';

/** Which keeps most, measured by `bench/data-aware`. */
const usualInits = { none: 'lfai', synthetic: 'whitened', images: 'lfai-data' } as const;

const modes = [
  'rankScale',
  'ranks',
  'energy',
  'vbmf',
  'stableRank',
  'paramsBudget',
  'macsBudget',
  'latencyBudget',
  'keep',
  'accuracyBudget',
] as const;

/** The floor of `vbmf`, which finds no signal at all in some layers. */
const vbmfFloor = 0.1;

/** How pairs are fitted. */
export interface FittingSettings {
  readonly init: InitName;
  /** Of inits that sample. */
  readonly sampled: FitSettings;
  readonly biasCorrection: boolean;
  readonly balance: Balance;
}

/** Where models run, and what they may take. */
export interface RunningSettings extends LimitOptions {
  readonly device: Device;
  readonly engine: EngineName;
  /** 0: all cores. */
  readonly threads: number;
}

export interface VerificationSettings {
  readonly verify: boolean;
  readonly measureLatency: boolean;
}

export interface OutputSettings {
  readonly force: boolean;
  readonly singleFile: boolean;
  readonly externalData: boolean;
  /** A fixed batch becomes any number of images. */
  readonly openBatch: boolean;
}

/** Every option with its value, in the parts that each room gets; the rank options as one mode. */
export interface ConvertSettings {
  readonly selection: SelectionSettings;
  readonly ranks: RankSettings;
  readonly fitting: FittingSettings;
  readonly running: RunningSettings;
  readonly verification: VerificationSettings;
  readonly output: OutputSettings;
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  /** Values of inputs that are no images. */
  readonly inputs: readonly string[];
  readonly seed: number;
  /** Weights are drawn anew first. */
  readonly reinit: boolean;
}

/** What layers are fitted on; undefined: nothing. */
export type ImageKind = 'images' | 'synthetic' | undefined;

/** The share of the multiply-accumulates that is left where nobody says how much and there are images to choose ranks on. */
const usualBudget = 0.5;

/** The one rank mode of the options. Throws USAGE where two contradict each other or a number is out of range. */
function rankModeOf(options: ConvertOptions, images?: ImageKind): RankMode {
  const given = modes.filter((mode) => options[mode] !== undefined && options[mode] !== false);
  if (given.length > 1) {
    throw usage(`${given.map(flag).join(' and ')} contradict each other`, 'choose one way to set the ranks');
  }
  const isScaled = images === undefined || options.rankBase !== undefined;
  if (given.length === 0 && options.rankFloor === undefined && !isScaled && options.reinit !== true) {
    return { kind: 'budget', of: 'macs', fraction: usualBudget, isDefault: true };
  }
  const [mode = 'rankScale'] = given;
  if (options.rankBase === 'out' && mode !== 'rankScale') {
    throw usage(`--rank-base and ${flag(mode)} contradict each other`, '--rank-base belongs to --rank-scale');
  }
  if (options.rankFloor !== undefined && mode !== 'vbmf' && mode !== 'stableRank') {
    throw usage(`--rank-floor does nothing with ${flag(mode)}`, '--rank-floor belongs to --vbmf and --stable-rank');
  }
  const floor = (preset: number): number => {
    const value = options.rankFloor ?? preset;
    if (value >= 0 && value <= 1) return value;
    throw usage(`--rank-floor ${value} is not in [0, 1]`, 'give a fraction of the full rank such as 0.1');
  };
  const fraction = (value: number, isOpen: boolean): number => {
    if (Number.isFinite(value) && value > 0 && (isOpen ? value < 1 : value <= 1)) return value;
    throw usage(`${flag(mode)} ${value} is not in (0, 1${isOpen ? ')' : ']'}`, 'give a fraction such as 0.25');
  };
  switch (mode) {
    case 'rankScale':
      return { kind: 'scale', scale: fraction(options.rankScale ?? 0.25, false), base: options.rankBase ?? 'min' };
    case 'ranks':
      return { kind: 'ranks', ranks: new Map(Object.entries(options.ranks ?? {})) };
    case 'energy':
      return { kind: 'energy', fraction: fraction(options.energy!, false) };
    case 'vbmf':
      return { kind: 'vbmf', floor: floor(vbmfFloor) };
    case 'stableRank': {
      const factor = options.stableRank!;
      if (factor > 0 && Number.isFinite(factor)) return { kind: 'stable-rank', factor, floor: floor(0) };
      throw usage(`--stable-rank ${factor} is not a positive number`, 'give a factor such as 2');
    }
    case 'paramsBudget':
      return { kind: 'budget', of: 'params', fraction: fraction(options.paramsBudget!, true) };
    case 'macsBudget':
      return { kind: 'budget', of: 'macs', fraction: fraction(options.macsBudget!, true) };
    case 'latencyBudget':
      return { kind: 'budget', of: 'latency', fraction: fraction(options.latencyBudget!, true) };
    case 'keep':
      if (images !== undefined) return { kind: 'keep', share: fraction(options.keep!, false) };
      throw usage(
        '--keep needs images to measure agreement on',
        'give --calibrate and a folder of images, or synthetic',
      );
    case 'accuracyBudget': {
      const points = options.accuracyBudget!;
      if (points >= 0 && points <= 100) return { kind: 'accuracy', points };
      throw usage(`--accuracy-budget ${points} is not in [0, 100]`, 'give points of top-1 such as 1.0');
    }
  }
}

function minRankOf({ minRank = null }: ConvertOptions): number | null {
  if (minRank === null || (Number.isSafeInteger(minRank) && minRank >= 1)) return minRank;
  throw usage(`--min-rank ${minRank} is not a positive integer`, 'give one such as 4');
}

/** Options with their defaults, which depend on what there is to fit on, checked. Throws USAGE. */
export function resolveSettings(options: ConvertOptions, images?: ImageKind): ConvertSettings {
  const rankMultiple = options.rankMultiple ?? 1;
  if (!Number.isInteger(rankMultiple) || rankMultiple < 1) {
    throw usage(`--rank-multiple ${rankMultiple} is not a positive integer`, 'give one such as 8');
  }
  dataLocation(options);
  const seed = options.seed ?? 0;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw usage(`--seed ${seed} is not a whole number from 0 on`, 'give one such as 0');
  }
  const init = options.init ?? (options.reinit === true ? 'lfai' : usualInits[images ?? 'none']);
  const rankMode = rankModeOf(options, images);
  if (options.scheme === 'tucker' && (rankMode.kind === 'accuracy' || isLatencyBudget(rankMode))) {
    throw usage(
      `--scheme tucker cannot be searched for by ${rankMode.kind === 'accuracy' ? 'accuracy' : 'latency'}: ranks are those of pairs`,
      'give a budget of MACs or parameters, or leave out --scheme',
    );
  }
  return {
    selection: {
      include: options.include ?? [],
      exclude: options.exclude ?? [],
      factorizePairs: options.factorizePairs ?? false,
      keepFirst: options.keepFirst ?? true,
      keepLast: options.keepLast ?? true,
    },
    ranks: {
      rankMode,
      rankMultiple,
      scheme: options.scheme ?? 'auto',
      minRank: minRankOf(options),
      allowBigger: options.allowBigger ?? false,
    },
    fitting: {
      init,
      sampled: fitSettingsOf(options, init),
      biasCorrection: options.biasCorrection ?? true,
      balance: options.balance ?? 'weight',
    },
    running: {
      device: options.device ?? 'cpu',
      engine: options.engine ?? 'ort',
      threads: options.threads ?? 0,
      ...checkedLimits(options),
    },
    verification: {
      verify: options.verify ?? true,
      measureLatency: options.measureLatency ?? false,
    },
    output: {
      force: options.force ?? false,
      singleFile: options.singleFile ?? false,
      externalData: options.externalData ?? false,
      openBatch: options.openBatch ?? false,
    },
    inputShapes: options.inputShapes ?? {},
    inputs: options.inputs ?? [],
    seed,
    reinit: options.reinit ?? false,
  };
}

/** The settings for a report: every option of `ConvertOptions` with the value that was in force, null where none was. */
export function describeSettings(settings: ConvertSettings): Record<keyof ConvertOptions, unknown> {
  const { selection, ranks, fitting, running, verification, output } = settings;
  const { rankMode } = ranks;
  const { threads, maxMemory = null, verifyTimeout = defaultVerifyTimeout } = running;
  const budget = (of: 'params' | 'macs' | 'latency'): number | null =>
    rankMode.kind === 'budget' && rankMode.of === of && rankMode.fraction < 1 ? rankMode.fraction : null;
  return {
    rankScale: rankMode.kind === 'scale' ? rankMode.scale : null,
    rankBase: rankMode.kind === 'scale' ? rankMode.base : null,
    ranks: rankMode.kind === 'ranks' ? Object.fromEntries(rankMode.ranks) : null,
    energy: rankMode.kind === 'energy' ? rankMode.fraction : null,
    vbmf: rankMode.kind === 'vbmf',
    stableRank: rankMode.kind === 'stable-rank' ? rankMode.factor : null,
    rankFloor: rankMode.kind === 'vbmf' || rankMode.kind === 'stable-rank' ? rankMode.floor : null,
    paramsBudget: budget('params'),
    macsBudget: budget('macs'),
    latencyBudget: budget('latency'),
    keep: rankMode.kind === 'keep' ? rankMode.share : null,
    accuracyBudget: rankMode.kind === 'accuracy' ? rankMode.points : null,
    rankMultiple: ranks.rankMultiple,
    scheme: ranks.scheme,
    init: fitting.init,
    include: selection.include,
    exclude: selection.exclude,
    factorizePairs: selection.factorizePairs,
    keepFirst: selection.keepFirst,
    keepLast: selection.keepLast,
    biasCorrection: fitting.biasCorrection,
    balance: fitting.balance,
    seed: settings.seed,
    reinit: settings.reinit,
    device: running.device,
    engine: running.engine,
    minRank: ranks.minRank,
    allowBigger: ranks.allowBigger,
    verify: verification.verify,
    measureLatency: verification.measureLatency,
    singleFile: output.singleFile,
    externalData: output.externalData,
    openBatch: output.openBatch,
    force: output.force,
    inputShapes: settings.inputShapes,
    inputs: settings.inputs,
    ...describeFit(fitting.sampled, fitting.init),
    threads: threads > 0 ? threads : null,
    maxMemory,
    verifyTimeout,
  };
}

function flag(mode: string): string {
  return `--${mode.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function usage(fact: string, remedy: string): LowrankError {
  return new LowrankError('USAGE', fact, { remedy });
}
