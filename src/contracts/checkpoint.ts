/** The published JSON contract of a checkpoint of a training: its `state.json`. A field is added, never renamed. */
import type { FoundRate, StableRank, TrainConversion, TrainEpoch, TrainRetreat, TrainStart } from './train.js';

/** What the loss is multiplied by in float16, and how it has fared. */
export interface LossScale {
  /** A power of two: it and its inverse change no digit of a gradient. */
  readonly scale: number;
  /** Updates since the scale was changed last. */
  readonly updates: number;
  /** Updates that were left out since the training began, because a gradient was not finite. */
  readonly skipped: number;
}

/** Where a training is, beside its vectors. */
export interface CheckpointPosition {
  /** Updates done. */
  readonly step: number;
  /** From 0: the epoch that comes next, or goes on. */
  readonly epoch: number;
  /** Batches of that epoch that are done. */
  readonly batch: number;
  /** Sums over the part of that epoch that is done. */
  readonly running: {
    readonly images: number;
    readonly loss: number;
    readonly correct: number;
    readonly gradientNorm: number;
    readonly steps: number;
    readonly seconds: number;
    readonly waitSeconds: number;
  };
  /** Epochs that are done. */
  readonly epochs: readonly TrainEpoch[];
  /** Before the first update; absent where it was not measured. */
  readonly start?: TrainStart;
  /** Where the learning rate was searched for. */
  readonly foundRate?: FoundRate;
  /** Where the training went back to earlier weights; files of older versions have none. */
  readonly retreats?: readonly TrainRetreat[];
  /** With float16. */
  readonly lossScale?: LossScale;
  /** Where ranks are found: for how large a rank of each layer there is room in the graphs. */
  readonly rankRoom?: readonly number[];
  /** In a training of several: the one that goes on, or has ended, and the updates that were done or skipped before it. */
  readonly segment?: {
    readonly index: number;
    readonly name: string;
    readonly tried: number;
    /** Epochs before it; files of older versions have it not. */
    readonly from?: number;
    /** Epochs behind which it ended, where it ended early. */
    readonly until?: number;
  };
  /** Of layers in full rank, where the end of these epochs is chosen by them. */
  readonly stableRanks?: readonly StableRank[];
  /** Behind the conversion of a training that begins in full rank. */
  readonly conversion?: TrainConversion;
}

/** What tells whether a data set is still the one that it was, beside its names and labels. */
export interface ImagesStamp {
  /** Files that hold the images; of more than 100,000, every n-th is looked at. */
  readonly files: number;
  /** Bytes in them. */
  readonly bytes: number;
  /** Hash of the sizes, in order. */
  readonly sizes: string;
  /** Hash of the times of change in whole seconds, in order: copies keep no more than that, or not even that. */
  readonly times: string;
  /** The file that was changed last, and when (ISO 8601). */
  readonly newest: { readonly path: string; readonly time: string } | null;
  /** SHA-256 of labels and images; null where it was not taken. */
  readonly content: string | null;
}

/** What must be the same for a training to go on from a checkpoint. */
export interface CheckpointIdentity {
  /** SHA-256 of the model that training began with. */
  readonly model: string;
  /** Settings, images and facts of the machine that decide what the numbers of a step are. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of the files of the training images; checkpoints of earlier versions have none. */
  readonly images?: ImagesStamp;
}

/** What a training was told beside its model and its output: its checkpoints know it, so that it goes on without being told again. */
export interface CheckpointCall {
  /** Where its paths begin that are not absolute. */
  readonly folder: string;
  readonly data: string;
  readonly val: string | null;
  readonly classes: string | null;
  readonly tensorboard: string | null;
  readonly report: string | null;
  readonly strict: boolean | null;
  readonly maxMemory: number | null;
  /** Every setting as it was wanted: `microBatch` is not carried out. */
  readonly settings: object;
}

/** What `state.json` says. */
export interface CheckpointState extends CheckpointPosition {
  readonly schema: 'lowrank.checkpoint/1';
  readonly identity: CheckpointIdentity;
  /** What the training was told; files of older versions have none. */
  readonly call?: CheckpointCall;
  /** SHA-256 of state.safetensors: a torn checkpoint is recognized by it. */
  readonly sha256: string;
  /** SHA-256 of all the rest, as JSON without spaces; files of older versions have none. */
  readonly checksum?: string;
}
