import type { RecoverEvaluation, RecoverReport } from '../../../src/contracts/recover.js';
import { resnet50 } from './resnet50-report.js';

export interface RecoverFixture {
  readonly steps?: number;
  readonly points?: number;
  readonly isClassifier?: boolean;
  readonly rename?: (name: string, index: number) => string;
}

/** A training towards a teacher with made-up, smooth numbers, whose best look is the last but two. */
export function recoverReport({
  steps = 600,
  points = 54,
  isClassifier = true,
  rename = (name) => name,
}: RecoverFixture = {}): RecoverReport {
  const { model } = resnet50().report;
  const every = Math.max(1, Math.ceil(steps / 20));
  const count = Math.ceil(steps / every);
  const agreementAt = (share: number): number | null => (isClassifier ? 0.62 + 0.34 * share : null);
  const evaluations = Array.from({ length: count }, (_, index): RecoverEvaluation => {
    const share = Math.max(0, 1 - Math.abs(index - (count - 3)) / count);
    return {
      step: Math.min(steps, (index + 1) * every),
      trainingLoss: 2.1 - 1.4 * share + 0.05 * Math.sin(index),
      loss: 1.9 - 1.6 * share,
      agreement: agreementAt(share),
      lr: 0.0005 * (1 + Math.cos((Math.PI * index) / count)),
    };
  });
  const written = evaluations.toSorted((a, b) => a.loss - b.loss)[0]!;
  return {
    schema: 'lowrank.recover/1',
    tool: { name: 'lowrank', version: '0.1.0' },
    command: 'lowrank train small.onnx --teacher model.onnx --data photos --report page.html',
    seed: 0,
    model: { ...model, path: 'out/small.onnx' },
    teacher: { ...model, path: 'models/resnet50.onnx' },
    settings: { steps, batchSize: 16, lr: null, match: 'auto', labelWeight: 0, temperature: 1, seed: 0 },
    data: { path: 'photos', images: 500, heldOut: { path: 'photos', images: 100, from: 'data' } },
    matching: {
      classes: isClassifier ? 1000 : null,
      points: Array.from({ length: points }, (_, index) => ({
        name: rename(`layer${1 + (index % 4)}.${index}.bn`, index),
        weight: 1 / points,
      })),
      batchNorm: 'frozen',
      teacher: 'in every update',
    },
    rate: {
      lr: 0.001,
      from: 'trials',
      trials: [
        { lr: 0.001, steps: 40, loss: 0.72 },
        { lr: 0.001 / 3, steps: 40, loss: 0.95 },
        { lr: 0.003, steps: 40, loss: null },
      ],
    },
    start: { loss: 1.9, agreement: agreementAt(0) },
    evaluations,
    retreats: 1,
    written: { step: written.step, loss: written.loss, agreement: written.agreement },
    output: { path: 'out/small.trained.onnx', bytes: 48_211_904, sha256: model.sha256.split('').toReversed().join('') },
    warnings: [],
    seconds: { prepare: 6.1, trials: 48.2, train: 402.7, evaluate: 31.4, total: 488.4 },
    stepsPerSecond: steps / 402.7,
    status: 'finished',
  };
}
