import { join } from 'node:path';
import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import { imageReads } from '../data/paths.js';
import { checkPaths, type PathUse, writes } from '../files/conflicts.js';
import { takeLock } from '../files/lock.js';
import { modelReads } from '../graph/model-paths.js';
import { writeFileWhole } from '../files/write-file.js';
import type { StudyCell, StudyReport } from '../contracts/study.js';
import type { StudyProgress } from '../report/study-progress.js';
import { openTraining, openValidation, summaryOf } from '../images/images.js';
import { checkRecoverSettings } from '../recover/settings.js';
import { checkGraphSettings } from '../step/settings.js';
import { tool } from '../version.js';
import { type Cell, cellId, cellName, cellsOf, recoverSettingsOf, trainSettingsOf } from './cells.js';
import { type ArchitectureFile, architectureFile, imagesHash } from './content.js';
import { failedRecord, runCell } from './run-cell.js';
import { type CellRecord, openStudyFolder, type StudyFolder } from './store.js';
import { isDrawn, recovers, type Study, treatmentsOf } from './study.js';
import { differencesOf, groupsOf, treatmentDifferencesOf } from './summarize.js';

export interface StudyCall {
  /** Made where it is missing. One study at a time works in it. */
  readonly folder: string;
  /** Runs nothing, and reports what is finished. */
  readonly isPlan?: boolean;
  readonly command?: string;
  /** What an error is called in records and warnings. Default: as it is. */
  readonly inWords?: (error: LowrankError) => LowrankError;
  readonly signal?: AbortSignal | undefined;
  readonly progress: StudyProgress;
}

/** A cell with its identity, and what became of it. */
interface Slot {
  readonly cell: Cell;
  readonly id: string;
  readonly model: string;
  record: CellRecord | undefined;
  isReused: boolean;
}

/**
 * Trains the cells of a study that are not finished yet, and reports all of them. Cells are found again by their model,
 * images and settings, whatever became of the study file; a cell that was interrupted goes on from its checkpoint. A cell
 * that fails is tried again, and then named in the report: the others go on. study.json in the folder is the report so far.
 * Throws INPUT, USAGE for images and settings that no cell could use, OUTPUT where another study works in the folder.
 */
export async function runStudy(study: Study, call: StudyCall): Promise<StudyReport> {
  const started = performance.now();
  checkPaths(studyPaths(study, call.folder));
  const folder = openStudyFolder(call.folder);
  const lock = takeLock(join(call.folder, 'study.lock'), { busy: 'works in this folder' });
  try {
    folder.tidy();
    return await new StudyRun(study, call, folder, started).run();
  } finally {
    call.progress.clear();
    lock.release();
  }
}

/** The files that `runStudy` reads, and the folder that it writes. */
export function studyPaths(study: Study, folder: string): readonly PathUse[] {
  return [
    ...study.architectures.flatMap(({ name, source }) =>
      source.kind === 'file' ? modelReads(source.path, `the model of '${name}'`) : [],
    ),
    ...imageReads(study.data, 'the images', '--data'),
    ...(study.val === undefined ? [] : imageReads(study.val, 'the validation images', '--val')),
    writes(folder, 'the folder of the study', '-o', 'folder'),
  ];
}

class StudyRun {
  readonly #study: Study;
  readonly #call: StudyCall;
  readonly #folder: StudyFolder;
  readonly #started: number;
  readonly #warnings: string[] = [];
  /** Cells that this run has trained. */
  readonly #trained = new Set<string>();
  #slots: readonly Slot[] = [];
  #data: StudyReport['data'] | undefined;

  constructor(study: Study, call: StudyCall, folder: StudyFolder, started: number) {
    this.#study = study;
    this.#call = call;
    this.#folder = folder;
    this.#started = started;
  }

  async run(): Promise<StudyReport> {
    const { progress, isPlan, signal } = this.#call;
    this.#slots = await this.#open();
    const open = new Map<string, Slot[]>();
    for (const slot of this.#slots) {
      if (slot.record !== undefined && slot.record.status !== 'failed') continue;
      open.set(slot.id, [...(open.get(slot.id) ?? []), slot]);
    }
    this.#announce(open.size);
    if (isPlan === true && open.size > 0) return this.#report('planned');
    const total = new Set(this.#slots.map(({ id }) => id)).size;
    let number = total - open.size;
    for (const slots of open.values()) {
      number++;
      const [{ cell }] = slots as [Slot];
      const name = cellName(cell);
      const position = { number, total, name, secondsLeft: this.#secondsLeft() };
      const record = await this.#train(slots[0]!, progress.cell(position));
      progress.clear();
      if (record === undefined) return this.#report('interrupted');
      for (const slot of slots) slot.record = record;
      progress.done({ ...position, secondsLeft: this.#secondsLeft() }, reportCell(slots[0]!, false));
      this.#save(this.#report('interrupted'));
      if (signal?.aborted === true && number < total) return this.#report('interrupted');
    }
    const isFailed = this.#slots.some(({ record }) => record?.status === 'failed');
    return this.#report(isFailed ? 'failed' : 'finished');
  }

  /** Hashes what the cells start from, and looks up those that are finished. */
  async #open(): Promise<readonly Slot[]> {
    const { signal } = this.#call;
    const study = this.#study;
    const cells = cellsOf(study);
    for (const cell of cells) {
      checkGraphSettings(trainSettingsOf(study, cell));
      if (recovers(cell.treatment)) checkRecoverSettings(recoverSettingsOf(study, cell));
    }
    requireOwnWeights(study);
    const { source: training } = await openTraining(study.data, { path: undefined, model: undefined });
    try {
      const validation = await openValidation(study.val, study.data, training);
      if (validation === undefined) {
        throw new LowrankError('USAGE', 'there are no validation images', {
          place: study.data,
          remedy: 'name them in the study file as `val`',
        });
      }
      try {
        this.#data = { train: summaryOf(training), val: summaryOf(validation) };
        const images = { train: await imagesHash(training, signal), val: await imagesHash(validation, signal) };
        const files = new Map<string, ArchitectureFile>();
        for (const architecture of study.architectures) {
          throwIfAborted(signal);
          files.set(architecture.name, architectureFile(architecture, training.classes.length, this.#folder.models));
        }
        return cells.map((cell): Slot => {
          const { path, hash } = files.get(cell.architecture.name)!;
          const id = cellId(study, cell, { model: hash, ...images });
          const record = this.#folder.read(id);
          const isReused = record !== undefined && record.status !== 'failed';
          return { cell, id, model: path, record, isReused };
        });
      } finally {
        await validation.close();
      }
    } finally {
      await training.close();
    }
  }

  /** What of the folder still applies. */
  #announce(open: number): void {
    const own = new Set(this.#slots.map(({ id }) => id));
    const known = this.#folder.list().length;
    const { progress } = this.#call;
    if (known === 0) return;
    const unasked = this.#unasked();
    const rest = unasked === 0 ? '' : `; ${unasked} of other settings or images stay in the folder, unreported`;
    progress.note(`${own.size - open} of ${own.size} cells are finished already${rest}`);
    for (const { record, cell } of this.#slots) {
      if (record?.status === 'failed') progress.note(`failed before: ${cellName(cell)}: ${record.reason ?? ''}`);
    }
  }

  #unasked(): number {
    const own = new Set(this.#slots.map(({ id }) => id));
    return this.#folder.list().filter((id) => !own.has(id)).length;
  }

  /** One cell, tried again where it fails. undefined where it was interrupted. */
  async #train(
    { cell, id, model }: Slot,
    progress: ReturnType<StudyProgress['cell']>,
  ): Promise<CellRecord | undefined> {
    const { signal } = this.#call;
    const { note } = this.#call.progress;
    const started = performance.now();
    for (let attempt = 0; ; attempt++) {
      try {
        const record = await runCell({
          study: this.#study,
          cell,
          model,
          work: this.#folder.workOf(id),
          trained: this.#study.keepModels ? this.#folder.trainedOf(id) : undefined,
          signal,
          progress,
          note,
        });
        if (record === undefined) return undefined;
        this.#folder.write(id, record);
        this.#folder.removeWork(id);
        this.#trained.add(id);
        return record;
      } catch (error) {
        if (signal?.aborted === true || (error instanceof LowrankError && error.code === 'ABORTED')) return undefined;
        const { inWords } = this.#call;
        const said = inWords !== undefined && error instanceof LowrankError ? inWords(error) : error;
        const record = failedRecord(cell, said, (performance.now() - started) / 1000);
        if (attempt < this.#study.retries) {
          note(`${cellName(cell)} failed and is tried again: ${record.reason ?? ''}`);
          continue;
        }
        this.#warnings.push(`${cellName(cell)} failed: ${record.reason ?? ''}`);
        this.#folder.write(id, record);
        return record;
      }
    }
  }

  /**
   * From the mean of the cells of the same architecture that are done, or of all: of those of this run where there are some, since
   * others may have been trained elsewhere, or beside other work.
   */
  #secondsLeft(): number | undefined {
    const finished = this.#slots.filter(({ record }) => record !== undefined && record.status !== 'failed');
    const own = finished.filter(({ id }) => this.#trained.has(id));
    const done = own.length > 0 ? own : finished;
    if (done.length === 0) return undefined;
    const mean = (slots: readonly Slot[]): number =>
      slots.reduce((sum, { record }) => sum + record!.seconds, 0) / slots.length;
    const seen = new Set<string>();
    let left = 0;
    for (const { id, cell, record } of this.#slots) {
      if (record !== undefined || seen.has(id)) continue;
      seen.add(id);
      const same = done.filter((slot) => slot.cell.architecture === cell.architecture);
      left += mean(same.length > 0 ? same : done);
    }
    return left;
  }

  #save(report: StudyReport): void {
    writeFileWhole(join(this.#folder.path, 'study.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  }

  #report(status: StudyReport['status']): StudyReport {
    const study = this.#study;
    const treatments = treatmentsOf(study);
    const isTreated = treatments.some((treatment) => treatment !== 'labels');
    const cells = this.#slots.map((slot) => reportCell(slot, isTreated));
    const unique = [...new Map(this.#slots.map((slot) => [slot.id, slot])).values()];
    const count = (of: StudyCell['status']): number => unique.filter((slot) => statusOf(slot) === of).length;
    const report: StudyReport = {
      schema: 'lowrank.study/1',
      tool,
      ...(this.#call.command === undefined ? {} : { command: this.#call.command }),
      folder: this.#folder.path,
      architectures: study.architectures.map(({ name, source, train, adapt }) => ({
        name,
        source: source.kind === 'file' ? source.path : source.architecture,
        train,
        ...(source.kind === 'created' && source.hidden !== undefined ? { hidden: source.hidden } : {}),
        ...(adapt === undefined ? {} : { adapt: { ...adapt } }),
      })),
      rankScales: study.rankScales,
      inits: study.inits,
      ...(isTreated ? { treatments } : {}),
      regularizers: study.regularizers,
      seeds: study.seeds,
      fullRank: study.fullRank,
      compareTo: study.compareTo,
      settings: {
        convert: { ...study.convert },
        train: study.train,
        ...(treatments.some(recovers) ? { recover: { ...study.recover } } : {}),
        ...(treatments.includes('adapt-ranks') ? { adapt: { ...study.adapt } } : {}),
        ...(study.warmupFull === undefined ? {} : { warmupFull: study.warmupFull }),
      },
      data: this.#data!,
      cells,
      groups: groupsOf(cells),
      differences: study.compareTo === null ? [] : differencesOf(cells, study.compareTo),
      ...(treatments.length < 2 ? {} : { treatmentDifferences: treatmentDifferencesOf(cells, treatments[0]!) }),
      counts: {
        cells: unique.length,
        finished: count('finished'),
        diverged: count('diverged'),
        failed: count('failed'),
        pending: count('pending'),
        reused: unique.filter(({ isReused }) => isReused).length,
        unasked: this.#unasked(),
      },
      warnings: [...this.#warnings],
      seconds: {
        total: (performance.now() - this.#started) / 1000,
        cells: unique.reduce((sum, { record }) => sum + (record?.seconds ?? 0), 0),
      },
      status,
    };
    return inWords(report);
  }
}

const statusOf = ({ record }: Slot): StudyCell['status'] => record?.status ?? 'pending';

/** Architectures that are recovered need weights. */
function requireOwnWeights(study: Study): void {
  const created = isDrawn(study) ? undefined : study.architectures.find(({ source }) => source.kind === 'created');
  if (created === undefined) return;
  throw new LowrankError('USAGE', 'an architecture has fresh weights, and a recovery needs those of a trained model', {
    place: `architecture '${created.name}' of the study`,
    remedy: 'give the path of a trained .onnx file',
  });
}

function reportCell(slot: Slot, isTreated: boolean): StudyCell {
  const { cell, id, record, isReused } = slot;
  const last = record?.status === 'finished' ? record.epochs.at(-1) : undefined;
  const { evaluation, recovery } = record ?? {};
  const curve = record?.epochs.map(({ valTop1 }) => valTop1) ?? [];
  const best = last === undefined ? null : Math.max(...curve.flatMap((value) => (value === null ? [] : [value])));
  return {
    architecture: cell.architecture.name,
    ...(isTreated ? { treatment: cell.treatment } : {}),
    regularizer: cell.regularizer.name,
    rankScale: cell.lowRank?.rankScale ?? null,
    init: cell.lowRank?.init ?? null,
    seed: cell.seed,
    id,
    status: statusOf(slot),
    reason: record?.reason ?? null,
    top1: evaluation?.top1 ?? last?.valTop1 ?? null,
    top5: evaluation?.top5 ?? last?.valTop5 ?? null,
    loss: evaluation?.loss ?? last?.valLoss ?? null,
    bestTop1: evaluation?.top1 ?? best,
    trainLoss: last?.loss ?? null,
    epochs: record?.epochs.length ?? 0,
    curve,
    params: record?.start?.params ?? null,
    macs: record?.start?.macs ?? null,
    functionError: record?.start?.functionError ?? null,
    ...(recovery === undefined ? {} : { recovery }),
    seconds: record?.seconds ?? 0,
    isReused,
  };
}
