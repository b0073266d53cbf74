/** How images become inputs, and what layers were fitted on: parts of published JSON. A field is added, never renamed. */

/** Who says how images become inputs: see `Preparation`. */
export type FactOrigin = 'option' | 'metadata' | 'graph' | 'batch-normalization' | 'arrays' | 'assumed';

export type NormalizationOrigin = FactOrigin;

/**
 * How images become inputs of a model, and who says so, part by part: the user (`option`), the model's metadata, its graph
 * (the shape or the type of its input, its first operators), the statistics of its BatchNormalization; the `arrays` themselves,
 * which are fed as they are; or nobody (`assumed`: what is usual).
 */
export interface Preparation {
  /**
   * For pixels from 0 to 1, or numbers of arrays as they are (of uint8: from 0 to 1): a number of each channel, one where pictures
   * are grey, one that stands for all channels of arrays. `name` is null where it has none.
   */
  readonly normalization: {
    readonly name: string | null;
    readonly mean: readonly number[];
    readonly deviation: readonly number[];
    readonly from: FactOrigin;
  };
  /** Of arrays the last two dimensions, the height 1 where there are no two behind the channels. */
  readonly size: { readonly width: number; readonly height: number; readonly from: FactOrigin };
  readonly resize: {
    /** `none`: arrays are fed as they are. */
    readonly rule: 'center-crop' | 'stretch' | 'none';
    /** What the shorter side becomes before the center is cut out; null where the whole image is stretched, and of arrays. */
    readonly shorterSide: number | null;
    readonly interpolation: 'bilinear' | 'bicubic';
    readonly from: FactOrigin;
  };
  /** Where the samples are NumPy arrays: the type and the shape of each. */
  readonly arrays?: { readonly type: string; readonly dims: readonly number[] };
  /** Of labelled images. */
  readonly classes?: ClassOrder;
}

/** What the numbers of the outputs mean: `images` are the names of the images' folders or labels, in their own order. */
export interface ClassOrder {
  readonly count: number;
  readonly from: 'option' | 'metadata' | 'images';
}

/** Images that layers were fitted on. */
export interface Calibration {
  /** Where the images are; `synthetic` where a program drew them. */
  readonly data: string;
  /** Images that were used. */
  readonly images: number;
  /** Side of the images. */
  readonly imageSize: number;
  readonly normalization: { readonly mean: readonly number[]; readonly deviation: readonly number[] };
  /** What it is called; null where it has no name. */
  readonly normalizationName: string | null;
  /**
   * Who says so: the user (`option`), the model's metadata, its first operators or the type of its input (`graph`), the
   * statistics of its BatchNormalization; or nobody (`assumed`).
   */
  readonly normalizationFrom: NormalizationOrigin;
  /** All of it; absent where a program of somebody else gave the images. */
  readonly preparation?: Preparation;
  readonly badImages: number;
  /** Drawn pictures that were moved toward classes of the model by its gradient; absent where none was. */
  readonly towardClasses?: number;
  /** Layers that were looked at. */
  readonly layers: number;
  /** Seconds of running the images; fitting is not included. */
  readonly seconds: number;
}
