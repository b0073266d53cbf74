import { throwIfAborted } from '../errors.js';
import { paced } from '../files/pieces.js';
import { dataLocation, type StagedModel, stageModelInPieces } from '../graph/write.js';
import type { Linalg } from '../linalg/types.js';
import type { ConvertReport } from '../contracts/convert.js';
import { startEngine } from '../factorize/engine.js';
import { describeOutput, stopwatch } from '../rewrite/report-parts.js';
import { type ConvertCall, show } from './call.js';
import { choose, type Within } from './choose.js';
import type { Chosen } from './choose-and-fit.js';
import { emit, finish } from './emit.js';
import { joinedModel, settleJoined, type Used } from './joined.js';
import { latencySource } from './latency-source.js';
import { lookAtOriginal, openConversion, type Seconds } from './open.js';
import { openConverted, requireOpenable } from './open-batch.js';
import { reportConversion } from './report.js';
import { verify } from './verify.js';
import { isLatencyBudget } from '../factorize/settings.js';

export interface Surroundings extends Within {
  /** Called when the pairs are fitted, before anything is done to the whole model. */
  readonly onFitted?: () => Promise<void>;
}

/** One conversion from end to end: read, select, choose and fit, emit, finish, write, verify, report. Nothing is written where it throws. */
export async function runConversion(input: string, call: ConvertCall, within: Surroundings): Promise<ConvertReport> {
  const started = performance.now();
  const lap = stopwatch();
  const seconds: Seconds = { read: 0, factorize: 0, write: 0, verify: 0, total: 0 };
  const opened = await openConversion(input, call);
  const { asked, driver } = opened;
  let linalg: Linalg | undefined;
  let chosen: Chosen | undefined;
  let staged: StagedModel | undefined;
  try {
    const original = await lookAtOriginal(opened, seconds, lap);
    await requireOpenable(opened);
    const engine = await startEngine({ ...asked.settings.running, driver: await driver() });
    ({ linalg } = engine);
    const { rankMode } = asked.settings.ranks;
    const latency = isLatencyBudget(rankMode)
      ? await latencySource(await driver(), opened, original.source, asked.settings, call.signal)
      : undefined;
    const joined = joinedModel(opened, original);
    const plain: Used = joined?.isAsked === true ? joined : { opened, original, joined: [] };
    chosen = await choose(plain, { engine, latency }, within, joined === plain ? undefined : joined);
    const used = chosen.isOther && joined !== undefined ? joined : plain;
    asked.warnings.push(...chosen.warnings, ...engine.warnings);
    asked.warnings.push(...chosen.fits.flatMap((fit) => fit.warnings ?? []));
    await within.onFitted?.();
    const emitted = await emit(used.opened, used.original, chosen, engine);
    asked.warnings.push(...settleJoined(used, emitted));
    seconds.factorize = lap();
    const finished = await finish(used.opened, used.original, chosen, emitted);
    openConverted(used.opened);
    opened.fixed.release();
    lap();

    show(call, 'write', 0, 1, asked.output);
    const { force, ...location } = asked.settings.output;
    staged = await paced(
      stageModelInPieces(used.opened.model, asked.output, { force, dataLocation: dataLocation(location) }),
      {
        signal: call.signal,
      },
    );
    seconds.write = lap();
    show(call, 'verify', 0, 1, asked.output);
    const measuring = { searched: chosen.searched, isOfLatency: latency !== undefined };
    const verified = await verify(used.opened, used.original, staged, emitted.records, measuring);
    throwIfAborted(call.signal);
    seconds.verify += lap();
    const output = describeOutput(staged.commit());
    seconds.write += lap();
    seconds.total = (performance.now() - started) / 1000;
    return reportConversion({ ...used, chosen, engine, emitted, finished, verified, output, seconds });
  } finally {
    staged?.discard();
    await chosen?.close();
    await linalg?.close();
    opened.model.file?.close();
  }
}
