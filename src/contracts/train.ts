/** The published JSON contract of a training run (`--json`). A field is added, never renamed; a breaking change raises the schema number. */
import type { ModelSummary, Ratio, Scheme } from './convert.js';
import type { Preparation } from './images.js';
import type { RateTrial } from './recover.js';

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
  /** Where ranks are found: what the layers have come to at the end of the epoch. */
  readonly adaptation?: EpochRanks;
}

/** Layers whose ranks are found, at the end of an epoch. */
export interface EpochRanks {
  /** In the order of the report's `adaptation.layers`. */
  readonly ranks: readonly number[];
  /** Of each layer the largest singular values, at most 16. */
  readonly singularValues: readonly (readonly number[])[];
  /** Of the model that these ranks give, weights of both factors counted. */
  readonly params: number;
  readonly macs: number;
  /** The same over those of the model with every one of these layers in one piece. */
  readonly paramsShare: number;
  readonly macsShare: number;
  /** Of the epoch, in linear algebra outside of graphs: orthonormalization, singular values. */
  readonly seconds: number;
  /** Names of the layers whose pairs would have as many parameters as the layer: they are written in one piece. Absent where there are none. */
  readonly inOnePiece?: readonly string[];
}

/** How a training finds the ranks of layers, and which they are. */
export interface RankAdaptation {
  readonly method: 'augmented' | 'parallel' | 'kls' | 'kls-fixed';
  /** θ; null where a target, or nothing, decides. */
  readonly tolerance: number | null;
  readonly layers: readonly {
    readonly name: string;
    readonly label: string;
    readonly scheme: Scheme;
    /** Of the matrix that is factorized. */
    readonly rows: number;
    readonly cols: number;
    readonly startRank: number;
  }[];
  /** Of the model with every one of these layers in one piece. */
  readonly whole: { readonly params: number; readonly macs: number };
}

/** Epoch 0: the model on the validation images before the first update. */
export interface TrainStart {
  /** Mean loss; null where it is not finite. */
  readonly valLoss: number | null;
  readonly valTop1: number;
  /** null where there are at most five classes. */
  readonly valTop5: number | null;
}

/** The epoch whose weights the written model has. */
export interface WrittenEpoch {
  /** 0: the start. */
  readonly epoch: number;
  /** Of that epoch, on the validation images; null where there are none. */
  readonly valTop1: number | null;
  readonly valLoss: number | null;
  /**
   * `best`: chosen among all epochs (those of the size asked for, where ranks are found) by the validation images; `start`: none of them was better than the start; `last`: there are
   * no validation images, or the last was asked for.
   */
  readonly chosen: 'best' | 'start' | 'last';
}

/** How the learning rate was found: by short trainings that all begin at the start. */
export interface FoundRate {
  readonly lr: number;
  /** Images that the trials were judged by, and whether they are validation images or training images that no trial was trained on. */
  readonly images: number;
  readonly from: 'validation' | 'training';
  /** Mean loss over them before any update; null where it is not finite. */
  readonly startLoss: number | null;
  /** In the order in which they were run. */
  readonly trials: readonly RateTrial[];
}

/** A return of the training to earlier weights, with half of the learning rate. */
export interface TrainRetreat {
  /** The epoch that was too bad. */
  readonly epoch: number;
  /** Of that epoch, on the validation images; null where a loss, a gradient or a weight in it was not finite, and it was begun again. */
  readonly valTop1: number | null;
  /** The epoch whose weights the training went on from; 0: the start's. */
  readonly to: number;
  /** What the rates of the schedule are multiplied by from there on. */
  readonly rateFactor: number;
}

/** What a layer's stable ranks ‖W‖²_F / σ₁² were while it was trained in full rank, W being out × in·kh·kw. */
export interface StableRank {
  readonly name: string;
  /** As in LayerIdentity. */
  readonly label?: string;
  /** min(rows, columns). */
  readonly maxRank: number;
  /** Before the first update. */
  readonly start: number;
  /** Behind each epoch in full rank. */
  readonly epochs: readonly number[];
  /** Epochs behind which it was found to have settled; null: it was not. */
  readonly settled: number | null;
}

/** Where the epochs in full rank ended, and what the model became. */
export interface TrainConversion {
  /** Epochs before it. */
  readonly epoch: number;
  /** Layers that became pairs. */
  readonly layers: readonly {
    readonly name: string;
    /** As in LayerIdentity. */
    readonly label?: string;
    readonly scheme: Scheme;
    readonly rank: number;
    readonly maxRank: number;
  }[];
  /** Layers that stayed as they were. */
  readonly kept: number;
  readonly params: Ratio;
  readonly macs: Ratio;
  /** On the validation images, right before and right behind it; null where there are none, or it was not measured. */
  readonly before: TrainStart | null;
  readonly after: TrainStart | null;
  /** Where the epoch was chosen by them. */
  readonly stableRanks?: readonly StableRank[];
}

/** Where a checkpoint lies, and what was done before it. */
export interface CheckpointPlace {
  readonly path: string;
  /** Finished epochs. */
  readonly epoch: number;
  /** Updates. */
  readonly steps: number;
}

/** What the validation images say of the written epoch against the start. */
export interface TrainVerdict {
  readonly level: 'better' | 'same' | 'worse';
  /** The finding, with its numbers. */
  readonly finding: string;
  /** What to try, as an imperative; null where it is better. */
  readonly advice: string | null;
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
  /** Before the first update; null where there are no validation images, or it was not measured. */
  readonly start: TrainStart | null;
  /**
   * The epoch with the highest top-1 on the validation images, of equals the one with the smallest loss, of these the
   * earliest; null where none was validated. Where ranks are found for a size, of the epochs that came down to it.
   */
  readonly best: { readonly epoch: number; readonly top1: number } | null;
  /** Absent where no ranks are found. */
  readonly adaptation?: RankAdaptation;
  /** Absent where the learning rate was not searched for. */
  readonly foundRate?: FoundRate;
  /** Absent in reports of earlier versions. */
  readonly retreats?: readonly TrainRetreat[];
  /** Absent where no epoch was to be in full rank, and where the training ended before. */
  readonly conversion?: TrainConversion;
  /** The checkpoint that the run went on from, and the updates that were done before it. */
  readonly resumedFrom: CheckpointPlace | null;
  /** The newest checkpoint: what `--resume` goes on from; its model.onnx has the weights of that moment. null: there is none. */
  readonly checkpoint: CheckpointPlace | null;
  /** The command line that goes on from there; absent where the library was called, and where there is no checkpoint. */
  readonly resume?: string;
  /** Images that could not be read and were left out; the first of their names. */
  readonly badImages: { readonly count: number; readonly names: readonly string[] };
  readonly output: { readonly path: string; readonly bytes: number; readonly sha256: string } | null;
  /** What `output` holds; null where nothing was written. */
  readonly written: WrittenEpoch | null;
  /** The written epoch, or the best so far, against the start; null where one of them was not validated. */
  readonly verdict: TrainVerdict | null;
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
  let best: TrainEpoch | undefined;
  for (const epoch of epochs) if (epoch.valTop1 !== null && (best === undefined || isBetter(epoch, best))) best = epoch;
  return best === undefined ? null : { epoch: best.epoch, top1: best.valTop1! };
}

/** What validation says of weights. */
type Validated = Pick<TrainEpoch, 'valTop1' | 'valLoss'>;

/** Whether one has the higher top-1 or, with the same, the smaller loss; both were validated. */
export function isBetter(one: Validated, other: Validated): boolean {
  if (one.valTop1 !== other.valTop1) return one.valTop1! > other.valTop1!;
  return (one.valLoss ?? Infinity) < (other.valLoss ?? Infinity);
}
