import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { StudyRecovery } from '../contracts/study.js';
import { evaluateModel } from '../evaluate/eval.js';
import { readRegularText } from '../files/regular.js';
import { writeFileWhole } from '../files/write-file.js';
import { recover } from '../recover/recover.js';
import { recoverSettingsOf, surroundingsOf } from './cells.js';
import type { CellCall } from './run-cell.js';
import type { CellRecord } from './store.js';

export const recoveredPath = (work: string): string => join(work, 'recovered.onnx');
const factsPath = (work: string): string => join(work, 'recovery.json');

/**
 * Trains the start of a cell towards the model that it was made of, unless an earlier run did. undefined where it was interrupted:
 * the next run begins it again. Throws what `recover` throws.
 */
export async function recoverStart(call: CellCall): Promise<StudyRecovery | undefined> {
  const { study, cell, work, model, signal, progress } = call;
  const done = readRecovery(work);
  if (done !== undefined) return done;
  const report = await recover({
    model: join(work, 'start.onnx'),
    teacher: model,
    output: recoveredPath(work),
    force: true,
    data: study.data,
    settings: recoverSettingsOf(study, cell),
    signal,
    // The looks and trials of every cell would be all that is seen.
    progress: { ...progress, note: () => {} },
  });
  for (const warning of report.warnings) progress.note(`warning: ${warning}`);
  if (report.status === 'interrupted') return undefined;
  const { start, written, rate, retreats, data } = report;
  const facts: StudyRecovery = {
    ...{ start, written: written!, lr: rate.lr, retreats },
    ...{ images: data.images, heldOut: data.heldOut.images },
  };
  writeFileWhole(factsPath(work), `${JSON.stringify(facts)}\n`);
  return facts;
}

/** How many of the study's validation images a recovered start has right. */
export async function evaluateRecovered({
  study,
  cell,
  work,
  signal,
}: CellCall): Promise<NonNullable<CellRecord['evaluation']>> {
  const { target: _target, ...settings } = surroundingsOf(study, cell);
  const { top1, top5, loss } = await evaluateModel({
    model: recoveredPath(work),
    data: study.val ?? study.data,
    settings,
    signal,
  });
  return { top1, top5, loss };
}

function readRecovery(work: string): StudyRecovery | undefined {
  try {
    const facts = JSON.parse(readRegularText(factsPath(work))) as StudyRecovery;
    return existsSync(recoveredPath(work)) ? facts : undefined;
  } catch {
    return undefined;
  }
}
