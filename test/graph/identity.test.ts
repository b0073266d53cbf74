import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import { encodeModel } from '../../src/graph/encode.js';
import type { Model } from '../../src/graph/model.js';
import type { Node } from '../../src/graph/node.js';
import { readModel } from '../../src/graph/read.js';
import { memorySource, type ByteRange } from '../../src/files/source.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { fields } from '../../src/onnx/wire.js';
import { gather } from '../../src/files/chunk.js';
import { randomModel } from '../support/random-model.js';

const parameters = { seed: 20_260_707, numRuns: 150 };

function rangeOf(bytes: Uint8Array): ByteRange {
  return { source: memorySource(bytes, 'test'), start: 0, end: bytes.length };
}

interface RawField {
  readonly number: number;
  readonly wireType: number;
  readonly bytes: Buffer;
  readonly payload: Buffer;
}

/** The fields of a message as they lie there. */
function rawFields(bytes: Uint8Array): RawField[] {
  const buffer = Buffer.from(bytes);
  return [...fields(rangeOf(buffer))].map(({ number, wireType, start, payload, end }) => ({
    number,
    wireType,
    bytes: buffer.subarray(start, end),
    payload: buffer.subarray(payload, end),
  }));
}

const isField = (number: number) => (field: RawField) => field.number === number && field.wireType === 2;

function graphFields(model: Uint8Array): RawField[] {
  return rawFields(rawFields(model).find(isField(7))!.payload);
}

function encoded(model: Model): Buffer {
  return Buffer.from(gather(encodeModel(model)));
}

describe('a model that was only read', () => {
  it('is written byte for byte, whatever form it has', () => {
    fc.assert(
      fc.property(randomModel, (bytes) => {
        const model = readModel(bytes);
        checkModel(model);
        for (const node of model.graph.nodes)
          for (const { type } of node.attributes.values()) expect(type).toBeDefined();
        expect(encoded(model).equals(bytes)).toBe(true);
      }),
      parameters,
    );
  });

  it('is written byte for byte after an edit that was taken back', () => {
    fc.assert(
      fc.property(randomModel, (bytes) => {
        const model = readModel(bytes);
        const { graph } = model;
        model.metadata.set('lowrank.layers', '[]');
        model.opsets.set('other', 1);
        const weight = graph.addInitializer(Tensor.ofInts('new weight', [1], [1]));
        const made = graph.addValue('new value');
        const node = graph.addNode({ opType: 'Identity', inputs: [weight], outputs: [made] });
        expect(encoded(model).equals(bytes)).toBe(false);
        expect(graph.nodes.includes(node)).toBe(true);
        graph.removeIfUnused(made);
        model.metadata.delete('lowrank.layers');
        model.opsets.delete('other');
        expect(encoded(model).equals(bytes)).toBe(true);
      }),
      { ...parameters, numRuns: 75 },
    );
  });
});

describe('a model that was edited', () => {
  /** All fields but `touched` ones, in order. */
  const others = (list: readonly RawField[], touched: (field: RawField) => boolean): string[] =>
    list.filter((field) => !touched(field)).map(({ bytes }) => bytes.toString('hex'));

  it('keeps every other field of model and graph as it was, in its order', () => {
    fc.assert(
      fc.property(randomModel, fc.nat(), (bytes, pick) => {
        const model = readModel(bytes);
        const { graph } = model;
        const node = graph.nodes[pick % graph.nodes.length]!;
        const original = graphFields(bytes).filter(isField(1))[graph.nodes.indexOf(node)]!;
        const weight = graph.addInitializer(Tensor.ofFloats('added.weight', [1], Float32Array.of(1)));
        graph.setInput(node, node.inputs.length, weight);
        graph.addNode({
          opType: 'Identity',
          name: 'added',
          inputs: [weight],
          outputs: [graph.addValue('added.value')],
        });
        model.metadata.set('lowrank.layers', '[]');
        const written = encoded(model);
        checkModel(readModel(written));

        const isNode = isField(1);
        const isAdded = (field: RawField): boolean => isNode(field) && field.payload.includes('added');
        const isAddedWeight = (field: RawField): boolean => isField(5)(field) && field.payload.includes('added.weight');
        const isOriginal = (field: RawField): boolean => field.bytes.equals(original.bytes);
        expect(others(graphFields(written), (field) => isAdded(field) || isAddedWeight(field))).toEqual(
          others(graphFields(bytes), isOriginal),
        );
        const isGraphOrNew = (field: RawField): boolean =>
          isField(7)(field) || field.payload.includes('lowrank.layers');
        expect(others(rawFields(written), isGraphOrNew)).toEqual(others(rawFields(bytes), isGraphOrNew));

        // The touched node: all but its inputs and outputs, unknown fields and attributes included.
        const touched = graphFields(written).find((field) => isNode(field) && field.payload.includes('added.weight'))!;
        const isEdge = (field: RawField): boolean => isField(1)(field) || isField(2)(field);
        expect(others(rawFields(touched.payload), isEdge)).toEqual(others(rawFields(original.payload), isEdge));
      }),
      parameters,
    );
  });

  it('keeps the other attributes of a node whose attribute was set, and the fields around them', () => {
    fc.assert(
      fc.property(randomModel, fc.constantFrom('a', 'b', 'new'), fc.boolean(), (bytes, name, isRemoved) => {
        const model = readModel(bytes);
        const [node] = model.graph.nodes as [Node];
        const original = graphFields(bytes).find(isField(1))!;
        const had = node.attributes.has(name);
        if (isRemoved) node.removeAttribute(name);
        else node.setAttribute(name, { type: 'ints', value: [1, -2, 3] });
        const written = encoded(model);
        const again = readModel(written).graph.nodes[0]!;
        expect(again.ints(name)).toEqual(isRemoved ? undefined : [1, -2, 3]);
        expect([...again.attributes.keys()].sort()).toEqual([...node.attributes.keys()].sort());
        const isThis = (field: RawField): boolean =>
          isField(5)(field) &&
          rawFields(field.payload).some((part) => isField(1)(part) && String(part.payload) === name);
        const now = rawFields(graphFields(written).find(isField(1))!.payload);
        const isEdge = (field: RawField): boolean => isField(1)(field) || isField(2)(field);
        const ignored = (field: RawField): boolean => isThis(field) || isEdge(field);
        expect(others(now, ignored)).toEqual(others(rawFields(original.payload), ignored));
        if (isRemoved && !had) expect(written.equals(bytes)).toBe(true);
      }),
      parameters,
    );
  });

  it('loses a node, its declaration and its weights, and nothing else', () => {
    fc.assert(
      fc.property(randomModel, (bytes) => {
        const model = readModel(bytes);
        const { graph } = model;
        const last = graph.nodes.at(-1)!;
        const isFree = last.outputs.every(
          (value) => value === undefined || (value.uses.length === 0 && !value.isOutput),
        );
        fc.pre(isFree);
        const gone = new Set(last.outputs.map((value) => value?.name));
        graph.removeNode(last);
        const written = encoded(model);
        checkModel(readModel(written));
        const nodes = graphFields(bytes).filter(isField(1));
        const isGone = (field: RawField): boolean =>
          field.bytes.equals(nodes.at(-1)!.bytes) ||
          (isField(13)(field) && gone.has(String(rawFields(field.payload).findLast(isField(1))?.payload)));
        expect(others(graphFields(written), () => false)).toEqual(others(graphFields(bytes), isGone));
      }),
      parameters,
    );
  });
});
