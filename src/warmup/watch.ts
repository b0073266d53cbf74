import type { StableRank } from '../contracts/train.js';
import type { Candidate } from '../factorize/candidates.js';
import { createLinalg } from '../linalg/linalg.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { loadDriver } from '../runtime/driver.js';
import { plural } from '../report/format.js';
import { type TrainedTensors, tensorsOf } from '../step/laid-out.js';
import type { Journal } from '../training/journal.js';
import type { SegmentHooks } from '../training/training.js';
import { mostFullEpochs } from '../training/warmup-settings.js';
import { settledEpochs, type SettlingRule, settlingRule } from './stable-ranks.js';

/** A layer whose stable rank is watched. */
export interface WatchedLayer {
  readonly name: string;
  readonly label: string;
  /** Of the trained tensor that holds its weight. */
  readonly weight: string;
}

export function watchedLayer({ layer }: Candidate): WatchedLayer {
  return { name: layer.name, label: layer.label, weight: layer.weight.source.name };
}

/**
 * Ends the epochs in full rank one epoch behind that at which the stable ranks of all layers have settled, at half of all epochs at the
 * latest. What it measures stands in the journal.
 */
export function watchStableRanks(layers: () => Promise<readonly WatchedLayer[]>): SegmentHooks {
  const measure = async ({ session }: Journal): Promise<readonly StableRank[]> => {
    const tensors = tensorsOf({ state: await session.trainer.read(), layout: session.layout });
    const { threads } = session;
    const linalg = await createLinalg({ driver: await loadDriver(), ...(threads === null ? {} : { threads }) });
    try {
      const ranks: StableRank[] = [];
      for (const layer of await layers()) {
        const matrix = matrixOf(tensors, layer);
        if (matrix === undefined) continue;
        const { name, label } = layer;
        const maxRank = Math.min(matrix.rows, matrix.cols);
        ranks.push({ name, label, maxRank, start: await stableRank(matrix, linalg), epochs: [], settled: null });
      }
      return ranks;
    } finally {
      await linalg.close();
    }
  };
  return {
    async begin(journal) {
      journal.stableRanks = await measure(journal);
    },
    async isOver(journal) {
      const { epochs } = journal.settings;
      const now = await measure(journal);
      const before = journal.stableRanks ?? [];
      const series = before.map(({ start, epochs: own }, at) => [start, ...own, now[at]!.start]);
      const settled = settledEpochs(series, ruleFor(journal));
      journal.stableRanks = before.map((layer, at) =>
        Object.assign({}, layer, { epochs: series[at]!.slice(1), settled: settled[at]! }),
      );
      const done = journal.epochs.length;
      const isOver = settled.length > 0 && settled.every((epoch) => epoch !== null && epoch < done);
      const latest = mostFullEpochs({ epochs });
      const left = settled.filter((epoch) => epoch === null).length;
      say(journal, before, isOver || done < latest ? undefined : latestText(latest, left));
      return isOver || done >= latest;
    },
  };
}

/** The rule for the images of a training and its epochs. */
export function ruleFor({ session, settings }: Journal): SettlingRule {
  // Channels, first or last, are fewer than pixels.
  const [, side = 0] = session.imageDims.toSorted((a, b) => a - b);
  return settlingRule(side, settings.epochs);
}

function say(
  { call, epochs, stableRanks = [] }: Journal,
  before: readonly StableRank[],
  end: string | undefined,
): void {
  const count = (ranks: readonly StableRank[]): number => ranks.filter(({ settled }) => settled !== null).length;
  const done = count(stableRanks);
  const epoch = `epoch ${epochs.length}:`;
  if (done > count(before))
    call.progress?.note(`${epoch} stable rank settled in ${done} of ${plural(stableRanks.length, 'layer')}`);
  if (end !== undefined) call.progress?.note(`${epoch} ${end}`);
}

function latestText(latest: number, left: number): string {
  const those = left === 0 ? '' : `, though the stable rank of ${plural(left, 'layer')} has not settled`;
  return `half of the epochs are done: the model is converted behind epoch ${latest}, the last that is in full rank${those}`;
}

/** The weight as out × in·kh·kw; undefined where it is not trained, or no matrix. A transposed matrix has the same stable rank. */
function matrixOf(tensors: TrainedTensors, { weight }: WatchedLayer): Matrix | undefined {
  const tensor = tensors.get(weight);
  const [rows = 0, ...others] = tensor?.shape ?? [];
  if (tensor === undefined || others.length === 0) return undefined;
  return { rows, cols: others.reduce((product, dim) => product * dim, 1), data: tensor.value };
}

/** ‖W‖²_F / σ₁²; 0 of zeros. */
async function stableRank(matrix: Matrix, linalg: Linalg): Promise<number> {
  let squares = 0;
  for (const value of matrix.data) squares += value * value;
  if (squares === 0) return 0;
  const { singularValues } = await linalg.truncatedSvd(matrix, 1);
  return squares / singularValues[0]! ** 2;
}
