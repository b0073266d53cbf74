/** The published JSON contract of a training run (`--json`). A field is added, never renamed; a breaking change raises the schema number. */
import type { ModelSummary, Preparation } from './contract.js';

/** A folder, archive or table of labelled images. */
export interface DataSummary {
  readonly path: string;
  readonly images: number;
  readonly classes: number;
}

/** One pass over the training data. Shares and accuracies are fractions of 1. */
export interface TrainEpoch {
  /** From 1, and counted on where a run was resumed. */
  readonly epoch: number;
  /** Updates of the parameters since the first epoch, this one included. */
  readonly steps: number;
  /** Mean of the training loss over the epoch's images, weight decay excluded. */
  readonly loss: number;
  /** Top-1 on the training images as they were seen: augmented, in training mode, while the parameters changed. */
  readonly top1: number;
  /** Mean loss over the validation images; null where the epoch was not validated. */
  readonly valLoss: number | null;
  readonly valTop1: number | null;
  /** null too where there are at most five classes. */
  readonly valTop5: number | null;
  /** Learning rate of the epoch's last update. */
  readonly lr: number;
  /** Training images over the seconds of training; validation and checkpoints excluded. */
  readonly imagesPerSecond: number;
  /** Seconds that the loop waited for images over the seconds of training. */
  readonly dataWaitShare: number;
  /** Mean over the updates of the norm of all gradients together, before clipping; null where it was not computed. */
  readonly gradientNorm: number | null;
  /** Wall time of the epoch: training, validation and checkpoints. */
  readonly seconds: number;
  /** Largest resident memory of the process so far, in bytes. */
  readonly peakMemory: number;
  /** With float16: what the loss is multiplied by, at the end of the epoch. */
  readonly lossScale?: number;
  /** With float16: updates left out since the first epoch, because a gradient was not finite. `steps` does not count them. */
  readonly skippedUpdates?: number;
}

export interface TrainReport {
  readonly schema: 'lowrank.train/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly seed: number;
  /** The model that training began with. */
  readonly model: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly data: { readonly train: DataSummary; readonly val: DataSummary | null };
  /** How images become inputs in validation, and who says so; training crops them at random. Absent in reports of earlier versions. */
  readonly preparation?: Preparation;
  /** Those before a resumption too. */
  readonly epochs: readonly TrainEpoch[];
  /** The epoch with the highest top-1 on the validation images, the earliest of equals; null where none was validated. */
  readonly best: { readonly epoch: number; readonly top1: number } | null;
  /** The checkpoint that the run went on from, and the updates that were done before it. */
  readonly resumedFrom: { readonly path: string; readonly epoch: number; readonly steps: number } | null;
  /** Images that could not be read and were left out; the first of their names. */
  readonly badImages: { readonly count: number; readonly names: readonly string[] };
  readonly output: { readonly path: string; readonly bytes: number; readonly sha256: string } | null;
  readonly warnings: readonly string[];
  /** Wall time of this process; `train` and `validate` are of its epochs. */
  readonly seconds: {
    readonly prepare: number;
    readonly train: number;
    readonly validate: number;
    readonly write: number;
    readonly total: number;
  };
  readonly status: 'finished' | 'interrupted' | 'failed';
  /** Why it did not finish; null where it did. */
  readonly reason: string | null;
}

/** The epoch that `best` of the contract names. */
export function bestEpoch(epochs: readonly TrainEpoch[]): TrainReport['best'] {
  let best: TrainReport['best'] = null;
  for (const { epoch, valTop1 } of epochs) {
    if (valTop1 !== null && (best === null || valTop1 > best.top1)) best = { epoch, top1: valTop1 };
  }
  return best;
}
