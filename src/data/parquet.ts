import { LowrankError, messageOf } from '../errors.js';
import { classFacts, plainClasses, sameClasses, type ClassList } from './class-list.js';
import { openFile, shortNames, type OpenFile } from './files.js';
import { classLabels } from './labels.js';
import { leavesOf, readColumn } from './parquet/column.js';
import { readFooter, type FileMetaData, type RowGroup } from './parquet/footer.js';
import { type SourceOptions, imageFieldNames, pacer, targetsOf } from './source.js';
import type { ImageSource } from './types.js';

/** Rows that are read together. */
interface Block {
  readonly shard: Shard;
  readonly group: RowGroup;
  /** In the shard. */
  readonly rowStart: number;
  readonly rowEnd: number;
  /** In the data set. */
  readonly first: number;
}

interface Shard {
  readonly file: OpenFile;
  readonly metadata: FileMetaData;
}

/** Decoded row groups that are held at a time, in bytes of encoded images. */
const heldBytes = 256 * 2 ** 20;

const labelColumns = ['label', 'labels', 'cls', 'class', 'class_id', 'target', 'fine_label', 'category'];

/**
 * Parquet shards with encoded images in a column (Hugging Face: `image` = {bytes, path}, `label`; or plain bytes). Row groups
 * are read whole, so images are shuffled among as many row groups as fit in memory. Class names come from the Hugging Face
 * metadata where there are any. Throws FORMAT for a damaged file or without such columns.
 */
export async function openParquet(
  path: string,
  files: readonly string[],
  options: SourceOptions,
): Promise<ImageSource> {
  const shards: Shard[] = [];
  const close = (): Promise<void> => {
    for (const { file } of shards) file.close();
    return Promise.resolve();
  };
  try {
    for (const name of files) shards.push(openShard(name));
    return await openShards(path, files, shards, options, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openShards(
  path: string,
  files: readonly string[],
  shards: readonly Shard[],
  options: SourceOptions,
  close: () => Promise<void>,
): Promise<ImageSource> {
  const columns = new Map(shards.map((shard) => [shard, columnsOf(shard)]));
  const blocks: Block[] = [];
  const raw: unknown[] = [];
  let largest = 1;
  const pace = pacer(options);
  for (const shard of shards) {
    let rowStart = 0;
    for (const group of shard.metadata.row_groups) {
      const rowEnd = rowStart + group.num_rows;
      if (rowEnd > rowStart) blocks.push({ shard, group, rowStart, rowEnd, first: raw.length });
      for (const label of readValues(shard, group, columns.get(shard)!.label)) {
        raw.push(label);
        await pace(raw.length);
      }
      largest = Math.max(largest, group.total_byte_size);
      rowStart = rowEnd;
    }
  }
  if (raw.length === 0) throw new LowrankError('INPUT', 'the parquet files have no rows', { place: path });
  const own = sameClasses(
    shards.flatMap((shard) => {
      const classes = namesInMetadata(shard, columns.get(shard)!.label);
      return classes === undefined ? [] : [{ place: shard.file.path, classes }];
    }),
  );
  const window = Math.max(1, Math.floor(heldBytes / largest));
  const cache = createBlockCache(window + 1, (block) => readImages(block, columns.get(block.shard)!.image));
  const titles = shortNames(shards.map(({ file }) => file.path));
  const name = (index: number): string => {
    const { shard, rowStart, first } = blocks[findBlock(blocks, index)]!;
    return `${titles.get(shard.file.path)!}#${rowStart + index - first}`;
  };
  const nameOf = (index: number): string => `row ${name(index)}`;
  const { classes, labels, targets } = classLabels(raw, { given: options.classes, own, place: path, nameOf });
  return {
    format: 'parquet',
    path,
    ...classFacts(classes, options.classes),
    length: raw.length,
    blocks: { lengths: blocks.map(({ rowStart, rowEnd }) => rowEnd - rowStart), window },
    warnings: [],
    files,
    label: (index) => labels[index]!,
    ...targetsOf(targets),
    name,
    locate: () => undefined,
    read: (index) =>
      Promise.resolve(blocks[findBlock(blocks, index)]!).then((block) => {
        const bytes = cache(block)[index - block.first] ?? new Uint8Array(0);
        return { bytes, label: labels[index]!, name: name(index) };
      }),
    close,
  };
}

function openShard(path: string): Shard {
  const file = openFile(path);
  try {
    return { file, metadata: readFooter(file) };
  } catch (error) {
    file.close();
    throw damaged(path, error);
  }
}

function damaged(path: string, error: unknown): LowrankError {
  if (error instanceof LowrankError) return error;
  return new LowrankError('FORMAT', `the parquet file cannot be read: ${messageOf(error)}`, {
    place: path,
    remedy: 'copy or download it again',
    cause: error,
  });
}

/** The values of a column in a row group; of a group of columns, those of its `bytes`, which is how images are stored. */
function readValues({ file, metadata }: Shard, group: RowGroup, column: string): readonly unknown[] {
  const leaves = leavesOf(metadata, column);
  const leaf = leaves.length === 1 ? leaves[0] : leaves.find(({ path }) => path[1] === 'bytes' && path.length === 2);
  if (leaf === undefined) {
    const names = leaves.map(({ path }) => path.slice(1).join('.'));
    throw damaged(file.path, `column '${column}' has no bytes: it is a group of ${names.join(', ')}`);
  }
  try {
    return readColumn(file, group, leaf);
  } catch (error) {
    throw damaged(file.path, error);
  }
}

function readImages({ shard, group }: Block, column: string): readonly (Uint8Array | undefined)[] {
  return readValues(shard, group, column).map((value) => (value instanceof Uint8Array ? value : undefined));
}

type Images = ReturnType<typeof readImages>;

/** The last blocks that were asked for, as many as there is room for: what they hold counts, not what their file says. */
function createBlockCache(size: number, load: (block: Block) => Images): (block: Block) => Images {
  const held = new Map<Block, { readonly images: Images; readonly bytes: number }>();
  let total = 0;
  const drop = (block: Block): void => {
    total -= held.get(block)?.bytes ?? 0;
    held.delete(block);
  };
  return (block) => {
    const images = held.get(block)?.images ?? load(block);
    drop(block);
    const bytes = images.reduce((sum, image) => sum + (image?.length ?? 0), 0);
    held.set(block, { images, bytes });
    total += bytes;
    for (const oldest of held.keys()) {
      if (held.size <= size && total - bytes <= heldBytes) break;
      drop(oldest);
    }
    return images;
  };
}

function findBlock(blocks: readonly Block[], index: number): number {
  let [low, high] = [0, blocks.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (blocks[middle]!.first <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

interface Columns {
  readonly image: string;
  readonly label: string;
}

function columnsOf({ file, metadata }: Shard): Columns {
  // The root and every group count their children; those of the root are the columns.
  const [root, ...rest] = metadata.schema;
  const names: string[] = [];
  let at = 0;
  const skip = (): void => {
    const children = rest[at]?.num_children ?? 0;
    at += 1;
    for (let child = 0; child < children; child++) skip();
  };
  for (let child = 0; child < (root?.num_children ?? 0); child++) {
    names.push(rest[at]?.name ?? '');
    skip();
  }
  const find = (known: readonly string[], what: string): string => {
    const name = known.find((candidate) => names.includes(candidate));
    if (name !== undefined) return name;
    throw new LowrankError('FORMAT', `no column holds the ${what}: there are ${names.join(', ')}`, {
      place: file.path,
      remedy: `name it ${known[0]!}`,
    });
  };
  return { image: find(imageFieldNames, 'images'), label: find(labelColumns, 'labels') };
}

/** Hugging Face keeps the features as JSON: {"info": {"features": {"label": {"names": […]}}}}. */
function namesInMetadata({ metadata }: Shard, column: string): ClassList | undefined {
  const text = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as { info?: { features?: Record<string, { names?: unknown } | undefined> } };
    const names = value.info?.features?.[column]?.names;
    if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) return undefined;
    return plainClasses(names);
  } catch {
    return undefined;
  }
}
