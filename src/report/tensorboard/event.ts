/** The messages of TensorFlow's event.proto, summary.proto and tensor.proto that TensorBoard's scalars, texts and histograms need. */
import protobuf from 'protobufjs';

/** The parts of `Event.Summary` that are written. */
export type SummaryValue =
  | { readonly kind: 'scalar'; readonly tag: string; readonly value: number }
  | { readonly kind: 'text'; readonly tag: string; readonly markdown: string }
  | { readonly kind: 'histogram'; readonly tag: string; readonly values: ArrayLike<number> };

export type EventContent =
  | { readonly kind: 'version' }
  /** The run goes on from this step: TensorBoard drops what an earlier file holds from there on. */
  | { readonly kind: 'restart' }
  | { readonly kind: 'summary'; readonly values: readonly SummaryValue[] };

const VARINT = 0;
const EIGHT_BYTES = 1;
const DELIMITED = 2;
const FOUR_BYTES = 5;
const FILE_VERSION = 'brain.Event:2';
const STRING_TYPE = 7;
const SESSION_START = 1;
const BUCKETS = 30;

const tagOf = (field: number, wireType: number): number => field * 8 + wireType;

function message(writer: protobuf.Writer, field: number, write: (inner: protobuf.Writer) => void): void {
  writer.uint32(tagOf(field, DELIMITED)).fork();
  write(writer);
  writer.ldelim();
}

/** Of equal width between the smallest and the largest finite value: upper limits and counts. */
function bucketsOf(values: ArrayLike<number>): {
  readonly min: number;
  readonly max: number;
  readonly count: number;
  readonly sum: number;
  readonly sumSquares: number;
  readonly limits: readonly number[];
  readonly counts: readonly number[];
} {
  let [min, max, count, sum, sumSquares] = [Infinity, -Infinity, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    count += 1;
    sum += value;
    sumSquares += value * value;
  }
  if (count === 0) return { min: 0, max: 0, count, sum, sumSquares, limits: [], counts: [] };
  const counts = Array.from({ length: BUCKETS }, () => 0);
  const width = (max - min) / BUCKETS;
  const limits = counts.map((_, index) => (index === BUCKETS - 1 ? max : min + width * (index + 1)));
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    counts[width > 0 ? Math.min(BUCKETS - 1, Math.floor((value - min) / width)) : 0]! += 1;
  }
  return { min, max, count, sum, sumSquares, limits, counts };
}

function writeDoubles(writer: protobuf.Writer, field: number, values: readonly number[]): void {
  message(writer, field, (packed) => {
    for (const value of values) packed.double(value);
  });
}

function writeHistogram(writer: protobuf.Writer, values: ArrayLike<number>): void {
  const { min, max, count, sum, sumSquares, limits, counts } = bucketsOf(values);
  for (const [index, value] of [min, max, count, sum, sumSquares].entries()) {
    writer.uint32(tagOf(index + 1, EIGHT_BYTES)).double(value);
  }
  writeDoubles(writer, 6, limits);
  writeDoubles(writer, 7, counts);
}

/** SummaryMetadata { plugin_data { plugin_name } }. */
function writePlugin(writer: protobuf.Writer, name: string): void {
  message(writer, 9, (metadata) => {
    message(metadata, 1, (plugin) => {
      plugin.uint32(tagOf(1, DELIMITED)).string(name);
    });
  });
}

/** TensorProto { dtype: DT_STRING, tensor_shape { dim { size: 1 } }, string_val: [text] }. */
function writeText(writer: protobuf.Writer, text: string): void {
  message(writer, 8, (tensor) => {
    tensor.uint32(tagOf(1, VARINT)).int32(STRING_TYPE);
    message(tensor, 2, (shape) => {
      message(shape, 2, (dimension) => {
        dimension.uint32(tagOf(1, VARINT)).int64(1);
      });
    });
    tensor.uint32(tagOf(8, DELIMITED)).string(text);
  });
}

function writeValue(writer: protobuf.Writer, value: SummaryValue): void {
  message(writer, 1, (inner) => {
    inner.uint32(tagOf(1, DELIMITED)).string(value.tag);
    if (value.kind === 'scalar') inner.uint32(tagOf(2, FOUR_BYTES)).float(value.value);
    else if (value.kind === 'text') {
      writePlugin(inner, 'text');
      writeText(inner, value.markdown);
    } else {
      message(inner, 5, (histogram) => {
        writeHistogram(histogram, value.values);
      });
    }
  });
}

/** One `tensorflow.Event`; the wall time in seconds since 1970. */
export function eventBytes(wallTime: number, step: number, content: EventContent): Uint8Array {
  const writer = protobuf.Writer.create();
  writer.uint32(tagOf(1, EIGHT_BYTES)).double(wallTime);
  if (step !== 0) writer.uint32(tagOf(2, VARINT)).int64(step);
  if (content.kind === 'version') writer.uint32(tagOf(3, DELIMITED)).string(FILE_VERSION);
  else if (content.kind === 'restart') {
    message(writer, 7, (session) => {
      session.uint32(tagOf(1, VARINT)).int32(SESSION_START);
    });
  } else {
    message(writer, 5, (summary) => {
      for (const value of content.values) writeValue(summary, value);
    });
  }
  return writer.finish();
}
