import { describe, expect, it } from 'vitest';
import { trainHtml } from '../../src/report/html/train.js';
import { PLAIN } from '../../src/report/terminal.js';
import { epochScalars } from '../../src/report/tensorboard.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { createTrainProgress, epochLine } from '../../src/report/train-progress.js';
import { renderTrainTable } from '../../src/report/train-table.js';
import { trainReport } from './support/train-report.js';

const plain: TrainReport = trainReport();
const scaled: TrainReport = {
  ...plain,
  epochs: plain.epochs.map((epoch) => ({ ...epoch, lossScale: 16384, skippedUpdates: 2 })),
};

describe('the loss scale of float16', () => {
  it('is in the line, the table, the page and the events of an epoch', async () => {
    expect(epochLine(scaled.epochs[0]!, 3)).toContain('loss scale 16384  skipped 2');
    expect(renderTrainTable(scaled, PLAIN)).toMatch(/loss scale +skipped/);
    expect(await trainHtml(scaled)).toMatch(/Loss scale[^]*Skipped updates[^]*16,384/);
    expect(epochScalars(scaled.epochs[0]!)).toMatchObject({ loss_scale: 16384, skipped_updates: 2 });
  });

  it('is nowhere in other precisions', async () => {
    expect(epochLine(plain.epochs[0]!, 3)).not.toContain('loss scale');
    expect(renderTrainTable(plain, PLAIN)).not.toContain('loss scale');
    expect(await trainHtml(plain)).not.toContain('Loss scale');
    expect(epochScalars(plain.epochs[0]!)).not.toHaveProperty('loss_scale');
  });

  it('is in the live line', () => {
    const text: string[] = [];
    const stream = { isTTY: true, columns: 200, write: (line: string) => text.push(line) };
    const progress = createTrainProgress({ stream, enabled: true });
    const step = { epoch: 1, epochs: 1, step: 1, steps: 2, loss: 1, top1: 0, imagesPerSecond: 1, dataWaitShare: 0 };
    progress.step({ ...step, lossScale: 32768, skippedUpdates: 1 });
    expect(text.at(-1)).toContain('loss scale 32768  skipped 1');
  });
});
