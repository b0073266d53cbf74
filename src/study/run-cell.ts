import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf } from '../errors.js';
import { convert } from '../convert/convert.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { findLayers } from '../rewrite/layers.js';
import { prepareModel } from '../rewrite/prepare.js';
import { reinitialize } from '../rewrite/reinit.js';
import { readModel } from '../graph/read.js';
import { writeModel } from '../graph/write.js';
import { readRegularText } from '../files/regular.js';
import { writeFileWhole } from '../files/write-file.js';
import type { StudyRecovery } from '../contracts/study.js';
import type { TrainEpoch, TrainReport } from '../contracts/train.js';
import type { TrainProgress } from '../report/train-progress.js';
import { loadDriver } from '../runtime/driver.js';
import { train } from '../warmup/train.js';
import { tool } from '../version.js';
import { type Cell, cellName, convertOptionsOf, trainSettingsOf } from './cells.js';
import { evaluateRecovered, recoveredPath, recoverStart } from './recover-cell.js';
import type { CellRecord, StartFacts } from './store.js';
import { beginsWhole, isDrawn, recovers, type Study } from './study.js';

export interface CellCall {
  readonly study: Study;
  readonly cell: Cell;
  /** Of the architecture. */
  readonly model: string;
  /** Belongs to this cell alone; what an interrupted run left there is gone on with. */
  readonly work: string;
  /** Where the trained model goes; undefined: nowhere. */
  readonly trained: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: TrainProgress;
  readonly note: (line: string) => void;
}

/**
 * Draws the start of a cell, recovers it where that is its treatment, and trains it, or goes on with it. undefined where it was interrupted, with a checkpoint
 * written. A loss or weights that are not finite are a result, `diverged`; all other errors are thrown.
 */
export async function runCell(call: CellCall): Promise<CellRecord | undefined> {
  const { work } = call;
  const clock = stopwatch(join(work, 'seconds.json'));
  makeFolder(work);
  const output = join(work, 'trained.onnx');
  let start = readStart(work);
  let isResumed = start !== undefined && hasCheckpoint(output);
  const seen: TrainEpoch[] = [];
  const came: { recovery?: StudyRecovery } = {};
  try {
    start ??= await drawStart(call);
    if (recovers(call.cell.treatment)) {
      const recovery = await recoverStart(call);
      clock.save();
      if (recovery === undefined) return undefined;
      came.recovery = recovery;
      if (call.cell.treatment === 'recovery') {
        const evaluation = await evaluateRecovered(call);
        if (call.trained !== undefined) keepModel(recoveredPath(work), call.trained);
        return { ...record(call, 'finished', null, start, [], clock.seconds()), ...came, evaluation };
      }
    }
    const report = await trainFrom(call, start, output, isResumed, seen).catch((error: unknown) => {
      // Of other threads, or torn: the cell begins anew.
      if (!isResumed || !(error instanceof LowrankError) || !['USAGE', 'INPUT'].includes(error.code)) throw error;
      isResumed = false;
      call.note(`${cellName(call.cell)}: begins anew, for its checkpoint does not fit: ${error.fact}`);
      return trainFrom(call, start!, output, false, seen);
    });
    clock.save();
    if (report.status === 'interrupted') return undefined;
    const last = report.epochs.at(-1);
    if (last === undefined || last.valTop1 === null || !Number.isFinite(last.valLoss)) {
      const reason = 'the validation loss is not finite';
      return { ...record(call, 'diverged', reason, start, report.epochs, clock.seconds()), ...came };
    }
    if (call.trained !== undefined) keepModel(output, call.trained);
    return { ...record(call, 'finished', null, start, report.epochs, clock.seconds()), ...came };
  } catch (error) {
    clock.save();
    const isDivergence = error instanceof LowrankError && error.code === 'NUMERIC' && start !== undefined;
    if (!isDivergence) throw error;
    const reason = [error.fact, error.place].filter((part) => part !== undefined).join('; ');
    return { ...record(call, 'diverged', reason, start!, seen, clock.seconds()), ...came };
  }
}

/** Puts a trained model where it stays; its data, which it names by its own name, with it. */
function keepModel(from: string, to: string): void {
  const model = readModel(from);
  try {
    if (model.file?.external.isUsed === true) writeModel(model, to, { force: true });
    else renameSync(from, to);
  } finally {
    model.file?.close();
  }
}

/** The record of a cell that an error ended. */
export function failedRecord(cell: Cell, error: unknown, seconds: number): CellRecord {
  return {
    schema: 'lowrank.study-cell/1',
    name: cellName(cell),
    status: 'failed',
    reason: error instanceof LowrankError ? `${error.code}: ${error.message}` : messageOf(error),
    start: null,
    epochs: [],
    seconds,
    tool,
  };
}

function record(
  { cell }: CellCall,
  status: CellRecord['status'],
  reason: string | null,
  start: StartFacts,
  epochs: readonly TrainEpoch[],
  seconds: number,
): CellRecord {
  const finite = epochs.map((epoch) => ({ ...epoch, valLoss: Number.isFinite(epoch.valLoss) ? epoch.valLoss : null }));
  return { schema: 'lowrank.study-cell/1', name: cellName(cell), status, reason, start, epochs: finite, seconds, tool };
}

function trainFrom(
  { study, cell, work, signal, progress }: CellCall,
  { params }: StartFacts,
  output: string,
  resume: boolean,
  seen: TrainEpoch[],
): Promise<TrainReport> {
  seen.length = 0;
  const settings = trainSettingsOf(study, cell);
  // At the size of the pairs that the other treatments train.
  const isSized = settings.adaptRanks !== null && settings.tolerance === null && settings.adaptRanks !== 'kls-fixed';
  return train({
    model: startOf(cell, work),
    output,
    force: true,
    data: study.data,
    val: study.val,
    resume,
    exact: true,
    // What a study compares is the last epoch of each cell.
    writes: 'last',
    validatesStart: false,
    // The study has compared the images itself.
    strict: false,
    settings: isSized ? { ...settings, targetParams: params.ratio } : settings,
    signal,
    progress,
    onEpoch: (epoch) => seen.push(epoch),
  });
}

function startOf({ treatment, lowRank }: Cell, work: string): string {
  if (recovers(treatment)) return recoveredPath(work);
  return lowRank !== null && beginsWhole(treatment) ? wholePath(work) : join(work, 'start.onnx');
}

/** What a training that begins in full rank begins with. */
function wholePath(work: string): string {
  return join(work, 'whole.onnx');
}

/** Writes start.onnx, and what is known of it to start.json, which is there only with a whole model beside it. */
async function drawStart(call: CellCall): Promise<StartFacts> {
  const { work, study, cell, model, signal } = call;
  const output = join(work, 'start.onnx');
  rmSync(`${output}.data`, { force: true });
  if (cell.lowRank !== null && beginsWhole(cell.treatment)) {
    await drawFullRank(model, wholePath(work), isDrawn(study) ? cell.seed : undefined);
  }
  const facts =
    cell.lowRank === null
      ? await drawFullRank(model, output, isDrawn(study) ? cell.seed : undefined)
      : startFacts(
          await convert(model, {
            ...convertOptionsOf(study, cell),
            output,
            force: true,
            verify: false,
            ...(signal === undefined ? {} : { signal }),
          }),
        );
  writeFileWhole(join(work, 'start.json'), `${JSON.stringify(facts)}\n`);
  return facts;
}

function startFacts({ totals, layers }: Awaited<ReturnType<typeof convert>>): StartFacts {
  const errors = layers.flatMap(({ functionError }) => (functionError === null ? [] : [functionError]));
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  return { params: totals.params, macs: totals.macs, functionError: Number.isFinite(mean) ? mean : null };
}

/** The model as it is, but for the weights of its layers where a seed is given. */
async function drawFullRank(path: string, output: string, seed: number | undefined): Promise<StartFacts> {
  const { model, shapes } = await prepareModel(path, { driver: loadDriver });
  try {
    if (seed !== undefined) reinitialize(model, findLayers(model.graph, shapes), seed);
    writeModel(model, output, { force: true });
    const [params, macs] = [countParameters(model.graph), countMacs(model.graph, shapes)];
    const same = (count: number): StartFacts['params'] => ({ before: count, after: count, ratio: 1 });
    return { params: same(params), macs: same(macs), functionError: null };
  } finally {
    model.file?.close();
  }
}

function readStart(work: string): StartFacts | undefined {
  try {
    const facts = JSON.parse(readRegularText(join(work, 'start.json'))) as StartFacts;
    return existsSync(join(work, 'start.onnx')) ? facts : undefined;
  } catch {
    return undefined;
  }
}

function hasCheckpoint(output: string): boolean {
  const folder = `${output}.checkpoints`;
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('step-'));
}

/** Seconds since now, and those that an earlier run left in the file. A run that was killed left none. */
function stopwatch(path: string): { seconds(): number; save(): void } {
  const started = performance.now();
  let before = 0;
  try {
    before = Number(JSON.parse(readRegularText(path)));
  } catch {
    before = 0;
  }
  const seconds = (): number => before + (performance.now() - started) / 1000;
  return { seconds, save: () => writeFileWhole(path, `${seconds()}\n`) };
}
