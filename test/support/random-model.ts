import * as fc from 'fast-check';
import { doubleField, flat, floatField, group, longVint, numberField, tag, tensorProto, vint } from './build.js';

/** A field that no version of ONNX knows, of any wire type; groups hold others. */
const unknownField: fc.Arbitrary<Buffer> = fc.letrec<{ field: Buffer }>((tie) => ({
  field: fc.oneof(
    { depthSize: 'small' },
    number().chain((n) => fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => numberField(n, value))),
    number().chain((n) => fc.double().map((value) => doubleField(n, value))),
    number().chain((n) => fc.float().map((value) => floatField(n, value))),
    number().chain((n) => fc.uint8Array({ maxLength: 20 }).map((bytes) => loose(n, bytes, 1))),
    number().chain((n) => fc.array(tie('field'), { maxLength: 3 }).map((inner) => group(n, ...inner))),
  ),
})).field;

function number(): fc.Arbitrary<number> {
  return fc.oneof(fc.integer({ min: 100, max: 200 }), fc.constantFrom(1000, 18_999, 536_870_911));
}

/** Known field numbers with a wire type that they do not have: protobuf takes them as unknown. */
const strangeField: fc.Arbitrary<Buffer> = fc
  .constantFrom(1, 2, 5, 7, 8, 11, 12, 13, 14, 20)
  .chain((n) => fc.constantFrom(doubleField(n, 1.5), group(n, numberField(1, 1))));

/** A length-delimited field whose length takes `extra` bytes more than it needs. */
function loose(n: number, payload: Uint8Array, extra: number): Buffer {
  const length = vint(payload.length).length + extra;
  return flat(tag(n, 2), length > 1 ? longVint(payload.length, Math.min(length, 5)) : vint(payload.length), payload);
}

const slack = fc.constantFrom(0, 0, 0, 0, 1, 2);

function delimited(n: number, payload: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  return fc.tuple(payload, slack).map(([bytes, extra]) => loose(n, bytes, extra));
}

const text = fc.string({ unit: 'grapheme', maxLength: 8 }).map((value) => Buffer.from(value, 'utf8'));

/** Models whose unknown fields are drawn from `unknownFields`. */
function models(unknownFields: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const unknowns = fc.array(unknownFields, { maxLength: 2 });

  function shuffled(parts: fc.Arbitrary<Buffer>[]): fc.Arbitrary<Buffer> {
    return fc
      .tuple(fc.tuple(...parts), unknowns)
      .chain(([known, strange]) =>
        fc.shuffledSubarray([...known, ...strange], { minLength: known.length + strange.length }),
      )
      .map((fields) => flat(...fields));
  }

  const floats = (values: readonly number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);

  function tensor(name: string): fc.Arbitrary<Buffer> {
    const values = fc.array(fc.float({ noNaN: true }), { minLength: 6, maxLength: 6 });
    return fc.tuple(values, fc.integer({ min: 0, max: 2 }), unknowns, text).map(([data, kind, strange, doc]) => {
      const encoded = [
        () => loose(9, floats(data), 0),
        () => loose(4, floats(data), 1),
        () => flat(...data.map((value) => floatField(4, value))),
      ][kind]!();
      return flat(tensorProto(name, [2, 3], 1, encoded, ...strange), loose(12, doc, 0));
    });
  }

  function attribute(name: string): fc.Arbitrary<Buffer> {
    const named = (type: number, ...parts: fc.Arbitrary<Buffer>[]): fc.Arbitrary<Buffer> =>
      shuffled([fc.constant(loose(1, Buffer.from(name), 0)), fc.constant(numberField(20, type)), ...parts]);
    const integer = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    return fc.oneof(
      named(
        1,
        fc.float().map((value) => floatField(2, value)),
      ),
      named(
        2,
        integer.map((value) => numberField(3, value)),
      ),
      named(3, delimited(4, fc.uint8Array({ maxLength: 6 }))),
      named(4, delimited(5, tensor('constant'))),
      named(6, delimited(7, fc.array(fc.float(), { maxLength: 4 }).map(floats))),
      named(
        7,
        delimited(
          8,
          fc.array(integer, { maxLength: 4 }).map((values) => flat(...values.map((value) => vint(value)))),
        ),
      ),
      named(
        7,
        integer.map((value) => numberField(8, value)),
      ),
      named(8, delimited(9, fc.uint8Array({ maxLength: 6 }))),
      named(9, delimited(10, tensor('of a list'))),
      named(0, fc.constant(loose(21, Buffer.from('of_a_function'), 0))),
      named(13, delimited(14, fc.constant(Buffer.alloc(0)))),
      named(99, unknownField),
    );
  }

  interface Names {
    readonly inputs: readonly string[];
    readonly initializers: readonly string[];
    readonly nodes: readonly { readonly inputs: readonly string[]; readonly outputs: readonly string[] }[];
    readonly outputs: readonly string[];
  }

  /** Which values there are and who reads them: without cycles, and not in an order that shows it. */
  const names: fc.Arbitrary<Names> = fc
    .record({
      inputs: fc.integer({ min: 1, max: 3 }),
      initializers: fc.integer({ min: 0, max: 4 }),
      nodes: fc.array(
        fc.record({
          reads: fc.array(fc.nat({ max: 1000 }), { maxLength: 4 }),
          outputs: fc.integer({ min: 1, max: 2 }),
          hasGap: fc.boolean(),
        }),
        { minLength: 1, maxLength: 7 },
      ),
      outputs: fc.array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 3 }),
    })
    .map((shape) => {
      const inputs = Array.from({ length: shape.inputs }, (_, i) => `input ${i}`);
      const initializers = Array.from({ length: shape.initializers }, (_, i) => `weight.${i}`);
      const known = [...inputs, ...initializers];
      const nodes = shape.nodes.map(({ reads, outputs, hasGap }, i) => {
        const node = {
          inputs: reads.map((read) => (hasGap && read % 3 === 0 ? '' : known[read % known.length]!)),
          outputs: Array.from({ length: outputs }, (_, k) =>
            hasGap && k === 0 && outputs > 1 ? '' : `värde/${i}:${k}`,
          ),
        };
        known.push(...node.outputs.filter((name) => name !== ''));
        return node;
      });
      return { inputs, initializers, nodes, outputs: shape.outputs.map((output) => known[output % known.length]!) };
    });

  function valueInfo(name: string): fc.Arbitrary<Buffer> {
    const dim = fc.oneof(
      fc.integer({ min: -1, max: 9 }).map((value) => numberField(1, value)),
      text.map((symbol) => loose(2, symbol, 0)),
    );
    const shape = fc.array(dim, { maxLength: 3 }).map((dims) => flat(...dims.map((bytes) => loose(1, bytes, 0))));
    const type = fc.oneof(
      fc
        .tuple(shape, unknowns)
        .map(([bytes, strange]) => loose(1, flat(numberField(1, 1), loose(2, bytes, 1), ...strange), 0)),
      // A sequence, which the graph passes through.
      fc.constant(loose(4, loose(1, loose(1, numberField(1, 1), 0), 0), 0)),
    );
    return shuffled([
      fc.constant(loose(1, Buffer.from(name), 0)),
      delimited(2, type),
      text.map((doc) => loose(3, doc, 0)),
    ]);
  }

  function graph({ inputs, initializers, nodes, outputs }: Names): fc.Arbitrary<Buffer> {
    const node = ({ inputs: reads, outputs: makes }: Names['nodes'][number], i: number): fc.Arbitrary<Buffer> => {
      const edges = flat(
        ...reads.map((name) => loose(1, Buffer.from(name), 0)),
        ...makes.map((name) => loose(2, Buffer.from(name), 0)),
      );
      return fc
        .tuple(fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }), fc.boolean())
        .chain(([attributes, isCustom]) =>
          shuffled([
            fc.constant(edges),
            fc.constant(loose(4, Buffer.from('Sum'), 0)),
            fc.constant(
              flat(
                loose(3, Buffer.from(`node ${i}`), 0),
                isCustom ? loose(7, Buffer.from('custom.domain'), 0) : Buffer.alloc(0),
              ),
            ),
            ...attributes.map((name) => delimited(5, attribute(name))),
          ]),
        );
    };
    const listed = [...inputs, ...initializers.filter((_, i) => i % 2 === 1)];
    const described = [...new Set(['nobody', ...nodes.flatMap((each) => each.outputs), ...inputs])].filter(
      (name) => name !== '',
    );
    return fc
      .tuple(
        fc.tuple(...nodes.map((each, i) => delimited(1, node(each, i)))),
        fc.tuple(...initializers.map((name) => delimited(5, tensor(name)))),
        fc.tuple(...listed.map((name) => delimited(11, valueInfo(name)))),
        fc.tuple(...outputs.map((name) => delimited(12, valueInfo(name)))),
        fc.array(
          fc.constantFrom(...described).chain((name) => delimited(13, valueInfo(name))),
          { maxLength: 4 },
        ),
        fc.array(delimited(14, unknownField), { maxLength: 1 }),
        unknowns,
        text,
      )
      .chain(([nodeFields, ...others]) => {
        const [weights, ins, outs, infos, annotations, strange, doc] = others;
        // Any interleaving, each kind in its own order.
        const kinds = [
          nodeFields,
          weights,
          ins,
          outs,
          infos,
          [...annotations, ...strange],
          [loose(2, Buffer.from('g'), 0), loose(10, doc, 0)],
        ];
        const order = kinds.flatMap((list, kind) => list.map(() => kind));
        return fc.shuffledSubarray(order, { minLength: order.length }).map((drawn) => {
          const taken = kinds.map(() => 0);
          return flat(...drawn.map((kind) => kinds[kind]![taken[kind]!++]!));
        });
      });
  }

  function metadata(key: string): fc.Arbitrary<Buffer> {
    return delimited(
      14,
      shuffled([fc.constant(loose(1, Buffer.from(key), 0)), text.map((value) => loose(2, value, 0))]),
    );
  }

  function model(shape: Names): fc.Arbitrary<Buffer> {
    const opset = (domain: string, version: number): Buffer =>
      loose(8, flat(loose(1, Buffer.from(domain), 0), numberField(2, version)), 0);
    return fc
      .tuple(
        delimited(7, graph(shape)),
        fc.array(fc.constantFrom('author', 'licence', 'author').chain(metadata), { maxLength: 3 }),
        fc.boolean(),
        unknowns,
        text,
      )
      .chain(([graphField, props, hasFunction, strange, producer]) => {
        const fields = [
          graphField,
          numberField(1, 8),
          loose(2, producer, 1),
          opset('', 17),
          opset('custom.domain', 1),
          ...props,
          ...(hasFunction
            ? [loose(25, flat(loose(1, Buffer.from('F'), 0), loose(10, Buffer.from('custom.domain'), 0)), 0)]
            : []),
          ...strange,
        ];
        return fc.shuffledSubarray(fields, { minLength: fields.length }).map((parts) => flat(...parts));
      });
  }

  return names.chain(model);
}

/**
 * Valid models in every form that protobuf allows: fields in any order and interleaved, lengths that take more bytes than
 * they need, unknown fields of every wire type at every level, duplicates, optional edges left out.
 */
export const randomModel: fc.Arbitrary<Buffer> = models(
  fc.oneof({ weight: 3, arbitrary: unknownField }, { weight: 1, arbitrary: strangeField }),
);

/** The same without known numbers in wire types that they do not have, which not every reader takes as unknown. */
export const plainRandomModel: fc.Arbitrary<Buffer> = models(unknownField);
