import { LowrankError, messageOf } from '../errors.js';
import { type Message, TensorProto } from './proto.js';
import { countElements } from './repeated.js';
import { type ByteRange, memorySource } from '../files/source.js';
import { tensorFields } from './tensor-fields.js';
import { fields, readVarint } from './wire.js';

/** `data_location` of a tensor whose data lie in another file. */
export const EXTERNAL = 1;

const headerFields = new Set<number>([
  tensorFields.dims,
  tensorFields.dataType,
  tensorFields.name,
  tensorFields.externalData,
  tensorFields.dataLocation,
]);
export const dataFields = new Set<number>([
  tensorFields.floatData,
  tensorFields.int32Data,
  tensorFields.stringData,
  tensorFields.int64Data,
  tensorFields.rawData,
  tensorFields.doubleData,
  tensorFields.uint64Data,
  tensorFields.externalData,
  tensorFields.dataLocation,
]);
/** No tensor of any framework has more; without a limit a few megabytes of dims would take gigabytes. */
const mostDims = 255;
const largestHeader = 1 << 20;

/** Decodes with `codec`, turning its complaint into FORMAT. */
export function decode(codec: (bytes: Uint8Array) => Message, bytes: Uint8Array, range: ByteRange): Message {
  try {
    return codec(bytes);
  } catch (error) {
    throw new LowrankError('FORMAT', `malformed ONNX message: ${messageOf(error)}`, {
      place: `${range.source.label} at byte ${range.start}`,
      remedy: 'check that the file is complete',
      cause: error,
    });
  }
}

/** Whether the data of a TensorProto lies in another file. */
export function isExternalTensor(range: ByteRange): boolean {
  let location = 0;
  for (const { number, wireType, payload, end } of fields(range)) {
    if (number !== tensorFields.dataLocation || wireType !== 0) continue;
    location = readVarint({ source: range.source, start: payload, end });
  }
  return location === EXTERNAL;
}

/** Everything of a TensorProto that is not data. */
export function readHeader(range: ByteRange): { message: Message; raw: ByteRange | undefined } {
  const { source } = range;
  const header: Uint8Array[] = [];
  let raw: ByteRange | undefined;
  let size = 0;
  for (const { number, wireType, start, payload, end } of fields(range)) {
    if (number === tensorFields.rawData && wireType === 2) raw = { source, start: payload, end };
    if (!headerFields.has(number)) continue;
    size += end - start;
    if (size > largestHeader) throw damaged(range, 'a tensor whose name or dims are over a megabyte long');
    header.push(source.read(start, end));
  }
  const bytes = Buffer.concat(header);
  const whole = { source: memorySource(bytes, source.label), start: 0, end: bytes.length };
  const dims = countElements(whole, tensorFields.dims, 'varint');
  if (dims > mostDims) throw damaged(range, `a tensor of ${dims} dimensions`);
  return { message: decode(TensorProto.decode, bytes, range), raw };
}

function damaged({ source, start }: ByteRange, fact: string): LowrankError {
  return new LowrankError('FORMAT', fact, {
    place: `${source.label} at byte ${start}`,
    remedy: 'the file is damaged: export it again',
  });
}

export function externalRecord(message: Message): Map<string, string> {
  const record = new Map<string, string>();
  for (const entry of message['external_data'] as Message[]) {
    record.set(String(entry['key'] ?? ''), String(entry['value'] ?? ''));
  }
  return record;
}

export function countStrings(range: ByteRange): number {
  let count = 0;
  for (const { number, wireType } of fields(range)) if (number === tensorFields.stringData && wireType === 2) count++;
  return count;
}
