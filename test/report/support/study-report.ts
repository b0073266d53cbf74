import type { StudyCell, StudyReport } from '../../../src/contracts/study.js';
import { differencesOf, groupsOf } from '../../../src/study/summarize.js';

export interface StudyReportOptions {
  readonly architectures?: readonly string[];
  readonly inits?: readonly string[];
  readonly rankScales?: readonly number[];
  readonly seeds?: readonly number[];
  readonly regularizers?: readonly string[];
  /** Cells that diverged, by their number. */
  readonly diverged?: readonly number[];
  /** Only so many cells are done. */
  readonly done?: number;
}

const usualInits = ['spectral', 'spectral-scaled', 'lfai', 'relu-svd', 'baseline', 'lfai-adam', 'lfai-ws-adam'];

/** A study whose accuracies grow with the rank scale and differ a little by initialization and seed. */
export function studyReport(options: StudyReportOptions = {}): StudyReport {
  const {
    architectures = ['resnet8_cifar', 'resnet8_cifar_nobn'],
    inits = usualInits,
    rankScales = [0.05, 0.1, 0.15, 0.2],
    seeds = [0, 1, 2],
    regularizers = ['weight decay 0.0001', 'Frobenius decay 0.0001'],
    diverged = [],
    done = Infinity,
  } = options;
  const conditions = [null, ...rankScales.flatMap((rankScale) => inits.map((init) => ({ rankScale, init })))];
  const cells = architectures.flatMap((architecture, net) =>
    regularizers.flatMap((regularizer, decay) =>
      conditions.flatMap((condition) =>
        seeds.map((seed): Omit<StudyCell, 'status' | 'reason' | 'id'> => {
          const { rankScale = null, init = null } = condition ?? {};
          const gain = init === null ? 0.1 : 0.004 * inits.indexOf(init);
          const top1 = 0.4 + 0.06 * net + 0.01 * decay + 0.8 * (rankScale ?? 0.2) + gain + 0.005 * ((seed * 7) % 3);
          return {
            architecture,
            regularizer,
            rankScale,
            init,
            seed,
            top1,
            top5: 0.9,
            loss: 1.2,
            bestTop1: top1,
            trainLoss: 1.3,
            epochs: 3,
            curve: [0.2, 0.3, top1],
            params: { before: 78042, after: 9230, ratio: 9230 / 78042 },
            macs: { before: 12501632, after: 1573504, ratio: 1573504 / 12501632 },
            functionError: init === null ? null : 0.8,
            seconds: 20,
            isReused: false,
          };
        }),
      ),
    ),
  );
  const withStatus = cells.map((cell, index): StudyCell => {
    const id = index.toString(16).padStart(16, '0');
    const isDiverged = diverged.includes(index);
    const status = index >= done ? 'pending' : isDiverged ? 'diverged' : 'finished';
    const reason = status === 'diverged' ? 'the loss is not finite; step 3' : null;
    return Object.assign(cell, { id, status, reason, top1: status === 'finished' ? cell.top1 : null } as const);
  });
  const count = (status: StudyCell['status']): number => withStatus.filter((cell) => cell.status === status).length;
  return {
    schema: 'lowrank.study/1',
    tool: { name: 'lowrank', version: '0.1.0' },
    command: 'lowrank study studies/cifar10.yaml',
    folder: 'cifar10.study',
    architectures: architectures.map((name) => ({ name, source: name, train: {} })),
    rankScales,
    inits,
    regularizers: regularizers.map((name) => ({ name, weightDecay: 1e-4, frobeniusDecay: 0 })),
    seeds,
    fullRank: true,
    compareTo: inits[0] ?? null,
    settings: { convert: { scheme: 'spatial' }, train: { epochs: 3, lr: 0.1 } },
    data: {
      train: { path: 'cifar10/train', images: 4000, classes: 10 },
      val: { path: 'cifar10/test', images: 1000, classes: 10 },
    },
    cells: withStatus,
    groups: groupsOf(withStatus),
    differences: differencesOf(withStatus, inits[0] ?? ''),
    counts: {
      cells: withStatus.length,
      finished: count('finished'),
      diverged: count('diverged'),
      failed: 0,
      pending: count('pending'),
      reused: 0,
      unasked: 0,
    },
    warnings: [],
    seconds: { total: 2400, cells: 2400 },
    status: done < withStatus.length ? 'interrupted' : 'finished',
  };
}
