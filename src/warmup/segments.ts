import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ConvertReport } from '../contracts/convert.js';
import type { TrainConversion, TrainStart } from '../contracts/train.js';
import type { ConvertOptions } from '../convert/options.js';
import { convert } from '../convert/usual-calls.js';
import { inWordsOfCaller, LowrankError } from '../errors.js';
import { createLinalg } from '../linalg/linalg.js';
import { conversionText } from '../report/train-outcome.js';
import { loadDriver } from '../runtime/driver.js';
import { checkpointsOf } from '../training/checkpoint.js';
import type { Journal } from '../training/journal.js';
import { wholeTraining } from '../training/loop.js';
import type { TrainCall, TrainSettings } from '../training/options.js';
import type { Segment } from '../training/segments.js';
import type { RunMode } from '../training/session.js';
import { mostFullEpochs } from '../training/warmup-settings.js';
import { carryPairs, type CutLayer, cutLayers } from './carry-pairs.js';
import { layersToConvert } from './layers.js';
import { openPairs } from './open-pairs.js';
import { rankBy } from './stable-ranks.js';
import { calibrationOf, checkedThen, optionsOf, type ThenOptions } from './then.js';
import { ruleFor, type WatchedLayer, watchedLayer, watchStableRanks } from './watch.js';

/** A training in full rank, and one of the pairs that its model is converted to (Pufferfish; Cuttlefish where the first ends by itself). */
export function warmupSegments(call: TrainCall, mode: RunMode): readonly Segment[] {
  const { epochs, warmupFull } = call.settings;
  const then = checkedThen(call.settings.conversion);
  const isAuto = warmupFull === 'auto';
  const full = typeof warmupFull === 'number' ? warmupFull : mostFullEpochs({ epochs });
  let found: Promise<readonly WatchedLayer[]> | undefined;
  const watched = (): Promise<readonly WatchedLayer[]> =>
    (found ??= layersToConvert(call, then).then((layers) => layers.map(watchedLayer)));
  const whole = wholeTraining(call, mode);
  const fullRank: Segment = {
    name: 'full rank',
    epochs: full,
    async open() {
      await watched();
      return whole.open(undefined, undefined);
    },
    ...(isAuto ? watchStableRanks(watched) : {}),
  };
  return [fullRank, pairs(call, mode, then, epochs - full)];
}

function pairs(call: TrainCall, mode: RunMode, then: ThenOptions, epochs: number): Segment {
  const path = join(checkpointsOf(call.output), 'pairs.onnx');
  let converted: ConvertReport | undefined;
  let cut: readonly CutLayer[] = [];
  return {
    name: 'pairs',
    epochs,
    areValuesOfModel: true,
    async open(trained, before) {
      if (before !== undefined) {
        converted = await convertTo(path, trained!, call, then, before);
        cut = await cutLayers(trained!, path);
      } else if (!existsSync(path)) throw gone(path);
      const opened = await openPairs(path, call, mode, before);
      opened.session.warnings.push(...warningsOf(converted));
      return opened;
    },
    async carryOthers(before, others) {
      const linalg = await createLinalg({ driver: await loadDriver(), ...threadsOf(call.settings) });
      try {
        await carryPairs(cut, call.settings.optimizer, linalg, before, others);
      } finally {
        await linalg.close();
      }
    },
    async begin(journal) {
      const conversion = conversionOf(converted!, journal, await measured(journal));
      journal.conversion = conversion;
      journal.stableRanks = undefined;
      call.progress?.note(inWordsOfCaller(conversionText(conversion)));
      for (const line of warningsOf(converted)) call.progress?.note(inWordsOfCaller(`warning: ${line}`));
    },
  };
}

const warningsOf = (converted: ConvertReport | undefined): readonly string[] =>
  (converted?.warnings ?? []).map((line) => `conversion: ${line}`);

function gone(place: string): LowrankError {
  return new LowrankError('INPUT', 'the model of pairs that the training goes on with is gone', {
    place,
    remedy: 'put it back, or begin anew from the model.onnx of a checkpoint',
  });
}

const threadsOf = ({ threads }: TrainSettings): { readonly threads?: number } => (threads === null ? {} : { threads });

async function convertTo(
  output: string,
  model: string,
  call: TrainCall,
  then: ThenOptions,
  before: Journal,
): Promise<ConvertReport> {
  const { settings } = before;
  const { maxMemory, signal } = call;
  const { seed, device } = settings;
  const own = ranksBy(before, call);
  return convert(model, {
    ...optionsOf(then),
    ...own,
    ...threadsOf(settings),
    ...(maxMemory === undefined ? {} : { maxMemory }),
    ...(signal === undefined ? {} : { signal }),
    ...{ output, seed, device, force: true },
    calibrate: own.ranks === undefined ? await calibrationOf(then, call, settings) : 'none',
  });
}

/** How Cuttlefish converts, where nothing else is said: spectral pairs of ranks that the stable ranks say. */
function ranksBy(before: Journal, { settings }: TrainCall): ConvertOptions {
  const { stableRanks } = before;
  if (settings.warmupFull !== 'auto' || settings.conversion !== null || stableRanks === undefined) return {};
  const rule = ruleFor(before);
  const ranks = Object.fromEntries(stableRanks.map((layer) => [layer.name, rankBy(layer, rule)]));
  return { ranks, scheme: 'channel', init: 'spectral' };
}

/** On the validation images; null where there are none, or somebody stopped it. */
async function measured({ call, session, settings, segment }: Journal): Promise<TrainStart | null> {
  const { from } = segment;
  try {
    const found = await session.validate(
      (done, total) => call.progress?.validating(from, settings.epochs, done, total),
      call.signal,
    );
    if (found === undefined) return null;
    const { loss, top1, top5 } = found;
    return { valLoss: Number.isFinite(loss) ? loss : null, valTop1: top1, valTop5: top5 };
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
    return null;
  }
}

function conversionOf({ layers, totals }: ConvertReport, journal: Journal, after: TrainStart | null): TrainConversion {
  const { epochs, segment, stableRanks } = journal;
  const last = epochs.at(-1);
  const before = last?.valTop1 == null ? null : { valLoss: last.valLoss, valTop1: last.valTop1, valTop5: last.valTop5 };
  const cut = layers.flatMap(({ name, label, scheme, rank, maxRank }) =>
    scheme === null || rank === null
      ? []
      : [{ name, ...(label === undefined ? {} : { label }), scheme, rank, maxRank }],
  );
  return {
    epoch: segment.from,
    layers: cut,
    kept: layers.length - cut.length,
    params: totals.params,
    macs: totals.macs,
    before,
    after,
    ...(stableRanks === undefined ? {} : { stableRanks }),
  };
}
