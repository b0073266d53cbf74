import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf } from '../errors.js';
import { readRegularText } from '../files/regular.js';
import { writeFileWhole } from '../files/write-file.js';
import type { Ratio } from '../contracts/convert.js';
import type { StudyRecovery } from '../contracts/study.js';
import type { TrainEpoch } from '../contracts/train.js';

/** What the start of a cell is. */
export interface StartFacts {
  readonly params: Ratio;
  readonly macs: Ratio;
  /** Mean over the factorized layers; null at full rank. */
  readonly functionError: number | null;
}

/** A cell that was tried, as its file keeps it: `lowrank.study-cell/1`. */
export interface CellRecord {
  readonly schema: 'lowrank.study-cell/1';
  /** For people: what identifies the cell is the name of the file. */
  readonly name: string;
  readonly status: 'finished' | 'diverged' | 'failed';
  readonly reason: string | null;
  readonly start: StartFacts | null;
  readonly epochs: readonly TrainEpoch[];
  readonly recovery?: StudyRecovery;
  /** On the validation images, of a cell that is not trained on labels. */
  readonly evaluation?: { readonly top1: number; readonly top5: number | null; readonly loss: number };
  /** Wall time of all attempts and resumptions. */
  readonly seconds: number;
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
}

/**
 * The folder of a study:
 * - cells/ID.json, a file for each cell that was tried, whole or not there
 * - work/ID/, start and checkpoints of a cell that is under way
 * - models/, created architectures; trained/, trained models where they are kept
 */
export interface StudyFolder {
  readonly path: string;
  readonly models: string;
  /** undefined where the cell was never tried to the end, or its file cannot be read. */
  read(id: string): CellRecord | undefined;
  write(id: string, record: CellRecord): void;
  /** Removes work of cells that are finished, which a killed run left; for whoever holds the lock of the folder. */
  tidy(): void;
  /** The identities of all cells that ended, in any study that used the folder. */
  list(): readonly string[];
  workOf(id: string): string;
  removeWork(id: string): void;
  trainedOf(id: string): string;
}

/** Creates what is missing. Throws OUTPUT where the folder is something else, or cannot be written. */
export function openStudyFolder(path: string): StudyFolder {
  const folderOf = (name: string): string => {
    const folder = join(path, name);
    try {
      makeFolder(folder);
    } catch (error) {
      throw new LowrankError('OUTPUT', messageOf(error), { place: folder, remedy: 'choose another -o', cause: error });
    }
    return folder;
  };
  const isForeign = existsSync(path) && !existsSync(join(path, 'cells')) && namesIn(path).length > 0;
  if (isForeign) {
    throw new LowrankError('OUTPUT', 'the folder holds something else than a study', {
      place: path,
      remedy: 'choose another -o',
    });
  }
  const [cells, work, models] = [folderOf('cells'), folderOf('work'), folderOf('models')];
  const fileOf = (id: string): string => join(cells, `${id}.json`);
  const read = (id: string): CellRecord | undefined => {
    try {
      const record = JSON.parse(readRegularText(fileOf(id))) as Partial<CellRecord>;
      return record.schema === 'lowrank.study-cell/1' ? (record as CellRecord) : undefined;
    } catch {
      return undefined;
    }
  };
  return {
    path,
    models,
    read,
    tidy() {
      for (const id of namesIn(work)) {
        const record = read(id);
        if (record !== undefined && record.status !== 'failed')
          rmSync(join(work, id), { recursive: true, force: true });
      }
    },
    write: (id, record) => writeFileWhole(fileOf(id), `${JSON.stringify(record, undefined, 2)}\n`),
    list: () =>
      namesIn(cells)
        .filter((name) => name.endsWith('.json'))
        .map((name) => name.slice(0, -'.json'.length)),
    workOf: (id) => join(work, id),
    removeWork: (id) => rmSync(join(work, id), { recursive: true, force: true }),
    trainedOf: (id) => join(folderOf('trained'), `${id}.onnx`),
  };
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path).filter((name) => !name.startsWith('.') && name !== 'study.lock');
  } catch (error) {
    throw new LowrankError('OUTPUT', messageOf(error), { place: path, remedy: 'choose another -o', cause: error });
  }
}
