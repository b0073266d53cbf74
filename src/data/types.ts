import type { ArrayType } from '../files/npy.js';
import type { Pixels } from './pixels.js';

/** Bytes of a file that any thread can read by itself: [offset, offset + length), or the whole file. */
export interface Extent {
  readonly path: string;
  readonly offset: number;
  /** undefined: up to the end of the file. */
  readonly length: number | undefined;
}

/** An encoded image (JPEG, PNG …) or array (.npy), or its pixels where the format stores them as they are. */
export type ImageContent =
  | { readonly bytes: Uint8Array }
  /** `isGrey`: one channel is stored, and all three are it. `isConverted`: what else than three colors there was is gone. */
  | { readonly pixels: Pixels; readonly isGrey?: boolean; readonly isConverted?: boolean };

/** One labelled image. */
export type ImageSample = ImageContent & { readonly label: number; readonly name: string };

/** How a data set is stored. */
export type SourceFormat = 'folder' | 'tar' | 'tar-of-tars' | 'webdataset' | 'parquet' | 'cifar' | 'idx' | 'arrays';

/** What each sample of a data set of arrays is. */
export interface SampleArrays {
  readonly type: ArrayType;
  /** Of one sample. */
  readonly dims: readonly number[];
}

/** A runs of images that are read together: the row groups of parquet files. */
export interface Blocks {
  /** Images per block, in order; their sum is the length of the source. */
  readonly lengths: readonly number[];
  /** Blocks that the source holds in memory at a time: shuffling does not mix more. At least 1. */
  readonly window: number;
}

/** A labelled set of images with random access. Labels are indices into `classes`. */
export interface ImageSource {
  readonly format: SourceFormat;
  /** What the user gave. */
  readonly path: string;
  /** Identifiers, such as folder names or synsets, in the order of the labels. */
  readonly classes: readonly string[];
  /** The names of `classes` for people; the identifiers where there are none. */
  readonly titles: readonly string[];
  /** Whether `classes` was given from outside: then classes without images are no surprise. */
  readonly hasGivenClasses: boolean;
  /** The number of images. */
  readonly length: number;
  /** undefined where every image is read as cheaply as any other. */
  readonly blocks: Blocks | undefined;
  /** What was found odd while opening: files that are no images, empty folders, symbolic links in circles. */
  readonly warnings: readonly string[];
  /** Where the samples are NumPy arrays: what the first one is, and all are to be. */
  readonly arrays?: SampleArrays;
  /** Files that images lie in of which `locate` says nothing. Default: none. */
  readonly files?: readonly string[];
  /** The label of image `index`, 0 ≤ index < length. */
  label(index: number): number;
  /** Where images have several classes each: 0 or 1 for every class; `label` is then the first of them. */
  targets?: (index: number) => Uint8Array;
  /** Where the image came from, for messages and reports: a path relative to the data set, or shard and member. Unique. */
  name(index: number): string;
  /** Where a thread finds the encoded image; undefined where only `read` knows. */
  locate(index: number): Extent | undefined;
  /** Throws INPUT where the file has gone, FORMAT where the container is damaged. */
  read(index: number): Promise<ImageSample>;
  close(): Promise<void>;
}
