/** The published JSON contracts of `lowrank-data`. A field is added, never renamed. */

export interface DataSpread {
  readonly smallest: number;
  readonly median: number;
  readonly largest: number;
}

/** `lowrank data check --json`. */
export interface DataCheckReport {
  readonly schema: 'lowrank.data-check/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly path: string;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly format: 'folder' | 'tar' | 'tar-of-tars' | 'webdataset' | 'parquet' | 'cifar' | 'idx' | 'arrays';
  readonly images: number;
  readonly classes: readonly {
    readonly label: number;
    readonly id: string;
    readonly title: string;
    /** Bad ones included. */
    readonly images: number;
    readonly bad: number;
  }[];
  /** Images that cannot be decoded, and why. */
  readonly bad: readonly { readonly name: string; readonly label: number; readonly reason: string }[];
  readonly warnings: readonly string[];
  readonly balance: {
    readonly largest: number;
    readonly smallest: number;
    readonly mean: number;
    /** largest / smallest over the classes that have images. */
    readonly ratio: number;
    /** Identifiers of classes without images. */
    readonly empty: readonly string[];
  };
  /** Of the good images; null where there are none. */
  readonly sizes: { readonly width: DataSpread; readonly height: DataSpread; readonly bytes: DataSpread } | null;
  /** Good images by format: "jpeg", "png" … */
  readonly formats: Readonly<Record<string, number>>;
  /** Good images that training sees converted: one channel, CMYK, more than 8 bits. */
  readonly kinds: { readonly grey: number; readonly cmyk: number; readonly deep: number };
  readonly totalBytes: number;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

/** `lowrank data pack --json`: the pack's own `pack.json`, and where it lies. */
export interface DataPackReport {
  readonly schema: 'lowrank.data-pack/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly settings: {
    /** The shorter side; smaller images stay as they are. */
    readonly size: number;
    readonly format: 'jpeg' | 'ppm';
    /** Of JPEG, 1 to 100. */
    readonly quality: number;
    readonly interpolation: 'bilinear' | 'bicubic';
    /** Images per shard. */
    readonly shardSize: number;
    /** Order of the images: shuffled by this seed; null: as in the data set. */
    readonly seed: number | null;
  };
  readonly images: number;
  readonly classes: number;
  readonly bytes: number;
  readonly shards: readonly {
    readonly name: string;
    readonly images: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  /** Images that were left out. */
  readonly bad: readonly { readonly name: string; readonly reason: string }[];
  /** Of the images that were packed. */
  readonly path: string;
  /** The folder of the shards. */
  readonly output: string;
  readonly seconds: number;
}
