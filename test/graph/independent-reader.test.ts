import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as fc from 'fast-check';
import onnxProto from 'onnx-proto';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeModel } from '../../src/graph/encode.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { writeModel } from '../../src/graph/write.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { gather } from '../../src/files/chunk.js';
import { plainRandomModel } from '../support/random-model.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';

/**
 * onnx-proto 8.0.1: ONNX 1.10.2's schema compiled by protobufjs 6, which shares no code with ours. It knows none of the
 * later fields and skips them.
 */
const { ModelProto } = onnxProto.onnx;
type Decoded = ReturnType<typeof ModelProto.decode>;
type DecodedTensor = NonNullable<NonNullable<Decoded['graph']>['initializer']>[number];

const folder = mkdtempSync(join(tmpdir(), 'lowrank-reader-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What the reader sees: everything but the data of initializers, and that. */
interface Seen {
  readonly facts: unknown;
  readonly data: readonly Buffer[];
}

/** Reads the files beside a model once each. */
function see(model: Decoded, base: string): Seen {
  const files = new Map<string, Buffer>();
  const data = (model.graph?.initializer ?? []).map((tensor) => {
    const bytes = dataOf(tensor, base, files);
    // Compared as bytes, not as text.
    tensor.rawData = new Uint8Array();
    tensor.externalData = [];
    return bytes;
  });
  return { facts: ModelProto.toObject(model, { longs: String, bytes: String }), data };
}

function dataOf(tensor: DecodedTensor, base: string, files: Map<string, Buffer>): Buffer {
  if (Number(tensor.dataLocation) !== 1) return Buffer.from(tensor.rawData ?? []);
  const record = new Map((tensor.externalData ?? []).map(({ key, value }) => [key ?? '', value ?? '']));
  const location = record.get('location')!;
  const file = files.get(location) ?? readFileSync(join(base, location));
  files.set(location, file);
  const offset = Number(record.get('offset') ?? 0);
  return file.subarray(offset, record.has('length') ? offset + Number(record.get('length')) : undefined);
}

const edit = ({ graph, metadata }: Model): void => {
  for (const node of graph.nodes) node.touch();
  metadata.set('lowrank.layers', '[]');
  const weight = graph.addInitializer(Tensor.ofFloats('test.weight', [2, 2], Float32Array.of(1, 2, 3, 4), 10));
  graph.addNode({
    opType: 'Gemm',
    name: 'test.node',
    inputs: [weight, weight, undefined],
    outputs: [graph.addValue('test.value')],
    attributes: {
      alpha: { type: 'float', value: 0.5 },
      transB: { type: 'int', value: -1 },
      note: { type: 'string', value: 'ü' },
      ints: { type: 'ints', value: [1, -1, 2 ** 40] },
      floats: { type: 'floats', value: [0.5, -2] },
      strings: { type: 'strings', value: ['a', ''] },
      tensor: { type: 'tensor', value: Tensor.ofInts('inner', [2], [-1, 2 ** 40]) },
    },
  });
};

describe.skipIf(!hasShared)('an independent reader sees in what we write what it sees in the original', () => {
  it.each(sharedModels())('%s', (name) => {
    const path = modelPath(name);
    const model = readModel(path);
    const output = join(folder, 'out.onnx');
    edit(model);
    writeModel(model, output, { force: true });
    model.file?.close();
    const original = see(ModelProto.decode(readFileSync(path)), dirname(path));
    const edited = ModelProto.decode(readFileSync(output));
    const node = edited.graph!.node!.pop()!;
    const weight = edited.graph!.initializer!.pop()!;
    expect(edited.metadataProps.pop()).toMatchObject({ key: 'lowrank.layers', value: '[]' });
    const seen = see(edited, folder);
    expect(seen.facts).toEqual(original.facts);
    expect(seen.data.length).toBe(original.data.length);
    expect(seen.data.every((data, i) => data.equals(original.data[i]!))).toBe(true);

    expect(node).toMatchObject({ opType: 'Gemm', name: 'test.node', output: ['test.value'] });
    expect(node.input).toEqual(['test.weight', 'test.weight', '']);
    const attributes = Object.fromEntries(node.attribute!.map((attribute) => [attribute.name, attribute]));
    expect([attributes['alpha']!.type, attributes['alpha']!.f]).toEqual([1, 0.5]);
    expect([attributes['transB']!.type, Number(attributes['transB']!.i)]).toEqual([2, -1]);
    expect([attributes['note']!.type, Buffer.from(attributes['note']!.s ?? []).toString()]).toEqual([3, 'ü']);
    expect([attributes['ints']!.type, attributes['ints']!.ints!.map(Number)]).toEqual([7, [1, -1, 2 ** 40]]);
    expect([attributes['floats']!.type, attributes['floats']!.floats]).toEqual([6, [0.5, -2]]);
    expect([attributes['strings']!.type, attributes['strings']!.strings!.map(String)]).toEqual([8, ['a', '']]);
    const tensor = attributes['tensor']!;
    expect([tensor.type, tensor.t!.dataType, tensor.t!.dims!.map(Number)]).toEqual([4, 7, [2]]);
    const integers = Buffer.from(tensor.t!.rawData ?? []);
    expect([integers.readBigInt64LE(0), integers.readBigInt64LE(8)]).toEqual([-1n, 2n ** 40n]);
    expect([weight.name, weight.dataType, weight.dims!.map(Number)]).toEqual(['test.weight', 10, [2, 2]]);
    // 1, 2, 3, 4 in float16.
    expect(dataOf(weight, folder, new Map())).toEqual(
      Buffer.from(Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400).buffer),
    );
  });
});

describe('an independent reader of random models', () => {
  it('sees the same before and after every node was touched', () => {
    fc.assert(
      fc.property(plainRandomModel, (bytes) => {
        const model = readModel(bytes);
        for (const node of model.graph.nodes) node.touch();
        const written = gather(encodeModel(model));
        expect(see(ModelProto.decode(written), folder)).toEqual(see(ModelProto.decode(bytes), folder));
      }),
      { seed: 11, numRuns: 150 },
    );
  });
});
