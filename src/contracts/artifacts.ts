/** The published JSON contract of a folder of training artifacts: its `manifest.json`, and `lowrank-artifacts --json`. A field is added, never renamed. */
import type { Preparation } from './images.js';
import type { GraphSettings, ImageSettings, LossName } from './train-settings.js';

/** A tensor's place in a flat vector. */
export interface Slot {
  /** The initializer's name in the model. */
  readonly name: string;
  readonly shape: readonly number[];
  /** In elements. */
  readonly offset: number;
  readonly size: number;
}

/** A mask input of the gradient graph: 1/(1 − ratio) with probability 1 − ratio, else 0, drawn anew for every step. */
export interface MaskInput {
  readonly name: string;
  /** For one sample; the batch comes before it. */
  readonly shape: readonly number[];
  readonly ratio: number;
}

/** Names of the gradient graph's inputs and outputs. */
export interface GradientInterface {
  readonly inputs: {
    readonly parameters: string;
    readonly statistics: string;
    readonly images: string;
    /** Absent where the loss reads no labels. */
    readonly labels?: string;
    /** bool [N]: images that are mirrored; where these are bytes. */
    readonly flips?: string;
    readonly masks: readonly MaskInput[];
    /** With float16: what the loss is multiplied by before it is differentiated, a float32 scalar. */
    readonly scale?: string;
  };
  readonly outputs: {
    readonly loss: string;
    readonly logits: string;
    readonly correct: string;
    readonly gradient: string;
    readonly statistics: string;
  };
}

/** Names of the update graph's inputs and outputs. */
export interface UpdateInterface {
  readonly inputs: {
    readonly parameters: string;
    readonly gradient: string;
    readonly state: string;
    readonly learningRate: string;
    readonly step: string;
  };
  readonly outputs: { readonly parameters: string; readonly state: string; readonly gradientNorm: string };
}

/** Names of the eval graph's inputs and outputs. */
export interface EvalInterface {
  readonly inputs: {
    readonly parameters: string;
    readonly statistics: string;
    readonly images: string;
    /** Absent where the loss reads no labels. */
    readonly labels?: string;
  };
  readonly outputs: { readonly loss: string; readonly logits: string; readonly correct: string };
}

/** Settings of a folder of training artifacts. */
export interface ArtifactsSettings extends GraphSettings, ImageSettings {
  readonly target: 'portable' | 'cpu' | 'cuda';
  /** Images of one run of the graphs; null: any number. */
  readonly batchSize: number | null;
}

/** A model file. */
export interface ArtifactsModel {
  readonly file: string;
  readonly sha256: string;
  /** From the folder of the artifacts to the model. */
  readonly path: string;
}

/** How the model of a step is made to compute what another does, its teacher: see docs/recover.md. */
export interface ArtifactsMatching {
  readonly match: 'auto' | 'outputs' | 'features' | 'layers';
  /** Globs of the values that were named in place of those of `match`; null: none. */
  readonly matchTensors: readonly string[] | null;
  /** Classes whose distributions are compared; null where the model is no classifier. */
  readonly classes: number | null;
  /** What logits are divided by before they are compared. */
  readonly temperature: number;
  /** Of the loss of labels; 0: none are read. */
  readonly labelWeight: number;
  /** Values of both models whose relative squared errors are added, by their names in both. */
  readonly points: readonly { readonly name: string; readonly weight: number }[];
  readonly batchNorm: 'frozen' | 'batch';
}

/** A tensor of a layer in a vector of a graph: offset and size in elements. */
export interface AdaptedPlace {
  readonly vector: 'parameters' | 'statistics';
  readonly offset: number;
  readonly size: number;
  readonly shape: readonly number[];
}

/** One of the three matrices of a layer, filled up with zeros to what there is room for. */
export interface AdaptedTensor {
  readonly name: string;
  /** The tensor with its axes in this order is the matrix, row-major. */
  readonly axes: readonly number[];
  /** In the vectors of the gradient, update and eval graphs; in those of the graph of the bases. */
  readonly coefficients: AdaptedPlace;
  readonly bases: AdaptedPlace;
}

/** A layer W = U S Vᵀ whose rank is found. */
export interface ArtifactsAdaptedLayer {
  readonly name: string;
  /** As people are shown it. */
  readonly label: string;
  /** Of W. */
  readonly rows: number;
  readonly cols: number;
  /** Which matrix of a convolution W is. */
  readonly scheme: string;
  readonly startRank: number;
  readonly minRank: number;
  /** Of a cut; the graph of the bases has room for no more. */
  readonly maxRank: number;
  /** Columns of U and V, in the midst of a cycle, that the other graphs have room for. */
  readonly capacity: number;
  /** Vᵀ, S and U. */
  readonly right: AdaptedTensor;
  readonly core: AdaptedTensor;
  readonly left: AdaptedTensor;
}

/** How the ranks of layers are found: see docs/artifacts.md. */
export interface ArtifactsAdaptation {
  readonly method: 'augmented';
  /** θ: what a cut may take of a layer's ‖σ‖₂. */
  readonly tolerance: number;
  /** Updates of the coefficients between two changes of the bases. */
  readonly coefficientSteps: number;
  /** What `state` holds, each as long as `parameters`: numbers that turn as the gradient does, or as its squares. */
  readonly buffers: readonly ('first' | 'second')[];
  /** The model with pairs, whose tensors the others are named by: what trained weights are put into. */
  readonly pairs: { readonly file: string };
  /** The graph whose parameters are U and V of every layer; all else is held. */
  readonly bases: {
    readonly file: string;
    readonly inputs: Omit<GradientInterface['inputs'], 'masks'> & { readonly masks: readonly string[] };
    readonly outputs: GradientInterface['outputs'];
    readonly lengths: { readonly parameters: number; readonly statistics: number };
    readonly parameters: readonly Slot[];
    readonly statistics: readonly Slot[];
  };
  readonly layers: readonly ArtifactsAdaptedLayer[];
}

/** See docs/artifacts.md. */
export interface ArtifactsManifest {
  readonly schema: 'lowrank.artifacts/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly settings: ArtifactsSettings;
  readonly model: ArtifactsModel;
  /** Images of one run; null: any number. */
  readonly batch: number | null;
  /** Of one image, as `images` takes it. */
  readonly imageShape: readonly number[];
  readonly layout: 'nchw' | 'nhwc';
  /** null where the model is no classifier: only with a teacher. */
  readonly classes: number | null;
  /** How images become `images`, and who says so; null where the model takes no images. */
  readonly preparation: Preparation | null;
  /** In the order of the outputs; null where nothing says them. */
  readonly classNames: { readonly ids: readonly string[]; readonly titles: readonly string[] } | null;
  /** The model that this one is made to compute again; absent where it learns from labels alone. */
  readonly teacher?: ArtifactsModel;
  /** How; absent without a teacher. */
  readonly matching?: ArtifactsMatching;
  /** How ranks are found while it is trained; absent where layers keep their form. */
  readonly adaptation?: ArtifactsAdaptation;
  /** What is minimized, and so what `labels` are; `matching`: how far the model is from its teacher. */
  readonly loss: LossName | 'matching';
  /**
   * int64 [N]: the class of each image; or, with binary cross-entropy, float32 [N, classes]: 0 or 1 for each. Absent where no labels
   * are read.
   */
  readonly labels?: { readonly type: 'int64' | 'float32'; readonly shape: readonly (number | 'N')[] };
  /** Elements of the flat vectors. */
  readonly lengths: { readonly parameters: number; readonly statistics: number; readonly state: number };
  readonly parameters: readonly (Slot & {
    readonly decay: boolean;
    readonly pair: string | null;
    /** Names of the factors of that pair, in the order in which they are applied; absent in manifests of earlier versions. */
    readonly factors?: readonly string[] | null;
    /** The initializer of the model that it starts as, where several layers read that and are trained apart. */
    readonly copyOf?: string;
  })[];
  readonly statistics: readonly (Slot & { readonly copyOf?: string })[];
  /** Stored float tensors that the output depends on and that are not trained, and why. */
  readonly kept: readonly { readonly name: string; readonly shape: readonly number[]; readonly reason: string }[];
  readonly initial: { readonly file: string };
  readonly gradient: {
    readonly file: string;
    readonly inputs: Omit<GradientInterface['inputs'], 'masks'> & { readonly masks: readonly string[] };
    readonly outputs: GradientInterface['outputs'];
  };
  readonly update: { readonly file: string } & UpdateInterface;
  readonly eval: { readonly file: string } & EvalInterface;
  /** What the mask inputs of the gradient graph take: [batch, …shape], 0 with probability `ratio`, else 1/(1 − ratio). */
  readonly masks: readonly MaskInput[];
  readonly warnings: readonly string[];
}
