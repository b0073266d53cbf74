/** The published JSON contract of how much a model agrees with another (`eval --match --json`). A field is added, never renamed. */
import type { ModelSummary } from './convert.js';
import type { Interval } from './eval.js';
import type { Preparation } from './images.js';

/** A share of 1 with its 95 % interval. */
export interface AgreementShare {
  readonly share: number;
  readonly ci95: Interval;
}

/** A mean over pictures with the 95 % interval of that mean; null for one picture alone. */
export interface PictureMean {
  readonly mean: number;
  readonly ci95: Interval | null;
}

/** Two maps of classes of the same pictures, pixel by pixel: of the largest of [C, H, W], or as the file gives them. */
export interface MapAgreement {
  /** Classes that occur in the original's maps. */
  readonly classes: number;
  /** The mean over these of the intersection over the union of the pixels of a class, of all pictures together. */
  readonly meanIoU: number;
  /** The share of the pixels of a picture that get the same class. */
  readonly pixels: PictureMean;
}

/** One output of both models, picture by picture. */
export interface OutputAgreement {
  /** In the original. */
  readonly name: string;
  /** For one picture. */
  readonly shape: readonly number[];
  /** Where it stands between the pictures and outputs that cannot be compared: the names of those. */
  readonly insteadOf?: readonly string[];
  /** Of floats: ‖ŷ − y‖ / ‖y‖ of one picture, y what the original gives; null where there is none. */
  readonly relativeError: PictureMean | null;
  /** null where it is no map of classes. */
  readonly map: MapAgreement | null;
  /** Of one whole number a picture, such as a class: the share of pictures for which it is the same; else null. */
  readonly label: AgreementShare | null;
}

export interface AgreementReport {
  readonly schema: 'lowrank.agreement/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly model: ModelSummary;
  /** The model that it is compared with. */
  readonly original: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly data: { readonly path: string; readonly images: number };
  /** How pictures became inputs of both, and who says so of the first. */
  readonly preparation: Preparation;
  /** Pictures that were compared: all others are in `badImages`. */
  readonly images: number;
  /** Pictures that get the same first class, with Wilson's interval; null where one of the two is no classifier. */
  readonly top1: AgreementShare | null;
  /** KL(original ‖ model) of the classes of a picture, in nats; of classes that do not exclude each other the mean over them; null where there is none. */
  readonly kl: PictureMean | null;
  readonly outputs: readonly OutputAgreement[];
  /** Outputs that were not compared, by their names in the original, and why. */
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
  readonly imagesPerSecond: number;
  readonly badImages: { readonly count: number; readonly names: readonly string[] };
  readonly warnings: readonly string[];
  readonly seconds: { readonly prepare: number; readonly compare: number; readonly total: number };
}
