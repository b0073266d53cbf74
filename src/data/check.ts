import { throwIfAborted } from '../errors.js';
import { classCounts } from './balance.js';
import { defaultPixelLimit } from './decode.js';
import { inOrder } from './in-order.js';
import { createPool, defaultWorkers } from './pool.js';
import { contentOf } from './source.js';
import type { Inspected } from './tasks.js';
import type { ImageSource, SourceFormat } from './types.js';

export interface CheckOptions {
  readonly pixelLimit?: number | undefined;
  readonly workers?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Spread {
  readonly smallest: number;
  readonly median: number;
  readonly largest: number;
}

/** What a data set holds: the part of `lowrank.data-check/1` that is about the data. */
export interface DataCheck {
  readonly format: SourceFormat;
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
  readonly sizes: { readonly width: Spread; readonly height: Spread; readonly bytes: Spread } | null;
  /** Good images by format: "jpeg", "png" … */
  readonly formats: Readonly<Record<string, number>>;
  /** Good images that training sees converted: one channel, CMYK, more than 8 bits. */
  readonly kinds: { readonly grey: number; readonly cmyk: number; readonly deep: number };
  readonly totalBytes: number;
}

const imagesPerTask = 8;

/**
 * Decodes every image of a data set completely, and says what is there. Bad images are results, not errors. Throws ABORTED
 * where the signal has fired.
 */
export async function checkSource(source: ImageSource, options: CheckOptions = {}): Promise<DataCheck> {
  const { pixelLimit = defaultPixelLimit, workers = defaultWorkers(), signal, onProgress } = options;
  const pool = createPool(workers);
  const good: Inspected[] = [];
  const bad: { readonly name: string; readonly label: number; readonly reason: string }[] = [];
  const badPerClass = source.classes.map(() => 0);
  const tasks = Math.ceil(source.length / imagesPerTask);
  try {
    const results = inOrder(tasks, 2 * Math.max(1, workers) + 2, (task) =>
      pool.run('inspect', async () => {
        throwIfAborted(signal);
        const first = task * imagesPerTask;
        const count = Math.min(imagesPerTask, source.length - first);
        const images = await Promise.all(Array.from({ length: count }, (_, at) => contentOf(source, first + at)));
        return { kind: 'inspect', pixelLimit, images };
      }),
    );
    let index = 0;
    for await (const task of results) {
      for (const result of task) {
        if ('reason' in result) {
          const label = source.label(index);
          bad.push({ name: source.name(index), label, reason: result.reason });
          badPerClass[label]! += 1;
        } else {
          good.push(result);
        }
        index += 1;
      }
      onProgress?.(index, source.length);
    }
  } finally {
    await pool.close();
  }
  const counts = classCounts(source);
  const used = counts.filter((count) => count > 0);
  const pictures = good.filter(({ format }) => format !== 'npy');
  const [largest, smallest] = [Math.max(...used), Math.min(...used)];
  return {
    format: source.format,
    images: source.length,
    classes: counts.map((images, label) => ({
      label,
      id: source.classes[label]!,
      title: source.titles[label]!,
      images,
      bad: badPerClass[label]!,
    })),
    bad,
    warnings: source.warnings,
    balance: {
      largest,
      smallest,
      mean: source.length / source.classes.length,
      ratio: largest / smallest,
      empty: source.classes.filter((_, label) => counts[label] === 0),
    },
    sizes:
      good.length === 0
        ? null
        : {
            width: spreadOf(good.map(({ width }) => width)),
            height: spreadOf(good.map(({ height }) => height)),
            bytes: spreadOf(good.map(({ bytes }) => bytes)),
          },
    formats: Object.fromEntries(
      [...countBy(good, ({ format }) => format)].toSorted(([, one], [, other]) => other - one),
    ),
    kinds: {
      grey: pictures.filter(({ channels }) => channels < 3).length,
      cmyk: pictures.filter(({ format, channels }) => format === 'jpeg' && channels === 4).length,
      deep: pictures.filter(({ depth }) => depth > 8).length,
    },
    totalBytes: good.reduce((total, { bytes }) => total + bytes, 0),
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).toSorted();
  return { smallest: sorted[0]!, median: sorted[sorted.length >> 1]!, largest: sorted.at(-1)! };
}

function countBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
