import { byteLengthOf, dataTypeInfo, type DataTypeInfo } from './data-type.js';
import { type ElementForm, packedRange, readElements } from './repeated.js';
import { allocate, type ByteRange, computedSource } from '../files/source.js';
import { tensorFields } from './tensor-fields.js';

/** Which field holds the elements where raw_data does not, how they lie there, and how many they are. */
export interface TypedInfo {
  readonly field: string;
  readonly number: number;
  readonly form: ElementForm;
  /** Bytes of one entry in raw form. */
  readonly width: 1 | 2 | 4 | 8;
  /** Entries: complex numbers take two, sub-byte types share one. */
  readonly count: number;
}

type NumericField = Exclude<DataTypeInfo['field'], 'string_data' | null>;

const typedFields: Record<NumericField, { readonly number: number; readonly form: ElementForm }> = {
  float_data: { number: tensorFields.floatData, form: 'fixed32' },
  double_data: { number: tensorFields.doubleData, form: 'fixed64' },
  int32_data: { number: tensorFields.int32Data, form: 'varint' },
  int64_data: { number: tensorFields.int64Data, form: 'varint' },
  uint64_data: { number: tensorFields.uint64Data, form: 'varint' },
};

/** undefined for strings and unknown types. */
export function typedInfo(dataType: number, size: number): TypedInfo | undefined {
  const info = dataTypeInfo(dataType);
  if (info === undefined || info.field === null || info.field === 'string_data') return undefined;
  const parts = info.name.startsWith('complex') ? 2 : 1;
  const width = Math.max(1, info.bits / 8 / parts) as TypedInfo['width'];
  return {
    field: info.field,
    ...typedFields[info.field],
    width,
    count: (byteLengthOf(dataType, size) ?? 0) / width,
  };
}

/** The elements in raw form: where they lie, if they lie so, or decoded when they are read. */
export function typedPayload(proto: ByteRange, { number, form, width, count }: TypedInfo, name: string): ByteRange {
  const packed = packedRange(proto, number, form);
  if (packed !== undefined) return packed;
  const size = count * width;
  const place = `${proto.source.label}, tensor '${name}'`;
  const source = computedSource(place, size, () =>
    allocate(() => readElements(proto, number, form, width, count), place),
  );
  return { source, start: 0, end: size };
}
