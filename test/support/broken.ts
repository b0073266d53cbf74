import type { ErrorCode } from '../../src/errors.js';
import {
  doubleField,
  field,
  flat,
  floatField,
  graphProto,
  group,
  modelAround,
  modelProto,
  nodeProto,
  numberField,
  rawData,
  tag,
  tensorProto,
  valueInfoProto,
  vint,
} from './build.js';

/** A model file that must be refused: its bytes, the code of the refusal, and what its message says. */
export interface BrokenModel {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly code: ErrorCode;
  readonly message: RegExp;
}

const x = valueInfoProto('x', [2]);
const y = valueInfoProto('y', [2]);
const negation = nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['y'], name: 'neg' });
const weight = tensorProto('w', [2], 1, rawData(Buffer.alloc(8)));

/** A model of these nodes from x to y. */
const around = (nodes: readonly Uint8Array[], extra: Uint8Array = Buffer.alloc(0)): Buffer =>
  modelProto(graphProto({ nodes, inputs: [x], outputs: [y], extra }));

const attribute = (...parts: Uint8Array[]): Buffer =>
  nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['y'], name: 'neg', attributes: [flat(field(1, 'a'), ...parts)] });

/** Graphs in attributes of nodes of graphs …, `depth` times. */
function nested(depth: number): Buffer {
  // Built inside out without copying what is inside: lengths first, then the heads from the outermost on.
  const heads: Buffer[] = [];
  let length = 0;
  for (let i = 0; i < depth; i++) {
    const head = (number: number, before: Uint8Array): void => {
      const bytes = flat(before, tag(number, 2), vint(length));
      heads.push(bytes);
      length += bytes.length;
    };
    head(6, flat(field(1, 'body'), numberField(20, 5)));
    head(5, flat(field(4, 'If'), field(2, `y${i}`)));
    head(1, Buffer.alloc(0));
  }
  const inside = flat(...heads.reverse());
  const node = nodeProto({
    op: 'If',
    outputs: ['y'],
    attributes: [flat(field(1, 'body'), numberField(20, 5), field(6, inside))],
  });
  return around([node]);
}

const good = around([negation]);

function typedRefusals(): BrokenModel[] {
  const one = (name: string, node: Uint8Array, message: RegExp, code: ErrorCode = 'FORMAT'): BrokenModel => ({
    name,
    bytes: around([node]),
    code,
    message,
  });
  return [
    one(
      'a tensor attribute without a tensor',
      attribute(numberField(20, 4)),
      /attribute 'a' holds 0 tensors where there must be one; .*Neg 'neg', attribute 'a'/,
    ),
    one(
      'an attribute of two tensors',
      attribute(numberField(20, 4), field(5, weight), field(5, weight)),
      /holds 2 tensors/,
    ),
    one('a graph attribute without a graph', attribute(numberField(20, 5)), /holds 0 graphs/),
    one(
      'a tensor attribute of the wrong size',
      attribute(numberField(20, 4), field(5, tensorProto('', [3], 1, rawData(Buffer.alloc(8))))),
      /8 bytes of data where float32 \[3\] needs 12; .*Neg 'neg', attribute 'a'/,
    ),
    one('an attribute that is cut', attribute(field(5, Buffer.of(0x0a, 0x7f))), /field 1 claims 127 bytes/),
    one('a list of numbers that is cut', attribute(numberField(20, 7), field(8, Buffer.of(0x80))), /cut short/),
    one('a list of floats that is cut', attribute(numberField(20, 6), field(7, Buffer.alloc(5))), /cut short/),
    one('a node without an operator', flat(field(1, 'x'), field(2, 'y')), /a node without an operator/, 'GRAPH'),
    one('a node name that is not UTF-8', flat(negation, field(1, Buffer.of(0xff))), /the name '.' is not UTF-8/),
  ];
}

export const brokenModels: readonly BrokenModel[] = [
  { name: 'an empty file', bytes: Buffer.alloc(0), code: 'INPUT', message: /^the file is empty; .*; fetch it again/ },
  { name: 'one byte', bytes: Buffer.of(8), code: 'FORMAT', message: /cut short at byte 1/ },
  { name: 'zeros', bytes: Buffer.alloc(1000), code: 'FORMAT', message: /field number 0 at byte 0/ },
  { name: 'ones', bytes: Buffer.alloc(1000, 255), code: 'FORMAT', message: /a number of more than ten bytes/ },
  { name: 'text', bytes: Buffer.from('hello world, this is no model'), code: 'FORMAT', message: /^not an ONNX file: / },
  {
    name: 'a web page',
    bytes: Buffer.from('\n <!DOCTYPE html><html></html>'),
    code: 'FORMAT',
    message: /it is a web page; .*; download the raw file/,
  },
  {
    name: 'a web page with a byte order mark',
    bytes: Buffer.from('\u{FEFF}<html></html>'),
    code: 'FORMAT',
    message: /it is a web page/,
  },
  {
    name: 'a Git LFS pointer',
    bytes: Buffer.from('version https://git-lfs.github.com/spec/v1\noid'),
    code: 'FORMAT',
    message: /Git LFS pointer; .*; run `git lfs pull`/,
  },
  { name: 'a zip archive', bytes: Buffer.from('PK\u{3}\u{4}rest'), code: 'FORMAT', message: /it is a zip archive/ },
  { name: 'gzip', bytes: Buffer.of(0x1f, 0x8b, 8, 0, 0, 0), code: 'FORMAT', message: /compressed with gzip/ },
  { name: 'HDF5', bytes: Buffer.from('\u{89}HDF\r\n\u{1a}\n', 'latin1'), code: 'FORMAT', message: /HDF5/ },
  {
    name: 'TensorFlow Lite',
    bytes: flat(Buffer.of(28, 0, 0, 0), Buffer.from('TFL3')),
    code: 'FORMAT',
    message: /TensorFlow Lite/,
  },
  { name: 'JSON', bytes: Buffer.from('{"message": "Not Found"}'), code: 'FORMAT', message: /it is JSON/ },
  { name: 'a model as text', bytes: Buffer.from('ir_version: 8\ngraph {}'), code: 'FORMAT', message: /in text form/ },
  {
    name: 'a model that ends in the middle',
    bytes: good.subarray(0, good.length - 40),
    code: 'FORMAT',
    message: /claims \d+ bytes where \d+ are left/,
  },
  {
    name: 'no graph',
    bytes: flat(numberField(1, 8), field(2, 'producer')),
    code: 'FORMAT',
    message: /0 graphs where there must be one/,
  },
  {
    name: 'two graphs',
    bytes: flat(good, field(7, Buffer.alloc(0))),
    code: 'FORMAT',
    message: /2 graphs where there must be one/,
  },
  {
    name: 'a graph that is a number',
    bytes: flat(numberField(1, 8), numberField(7, 1)),
    code: 'FORMAT',
    message: /0 graphs/,
  },
  {
    name: 'a length prefix of 4 GB in 1 KB',
    bytes: flat(tag(7, 2), vint(2 ** 32 - 1), Buffer.alloc(1018)),
    code: 'FORMAT',
    message: /claims 4294967295 bytes where 1018 are left/,
  },
  {
    name: 'a length prefix of 2^64',
    bytes: flat(tag(7, 2), vint(2n ** 64n - 1n), Buffer.alloc(100)),
    code: 'FORMAT',
    message: /claims \d+ bytes where 100 are left/,
  },
  {
    name: 'groups 10,000 deep',
    bytes: flat(good, Buffer.alloc(20_000, tag(100, 3))),
    code: 'FORMAT',
    message: /groups nested too deep/,
  },
  { name: 'graphs 10,000 deep', bytes: nested(10_000), code: 'FORMAT', message: /nested more than 100 messages deep/ },
  { name: 'graphs 40 deep', bytes: nested(40), code: 'FORMAT', message: /nested more than 100 messages deep/ },
  { name: 'types 10,000 deep', bytes: deepType(10_000), code: 'FORMAT', message: /max depth exceeded/ },
  {
    name: 'an initializer without a name',
    bytes: modelAround(tensorProto('', [2], 1, rawData(Buffer.alloc(8)))),
    code: 'GRAPH',
    message: /an initializer without a name/,
  },
  {
    name: 'an initializer of the wrong size',
    bytes: modelAround(tensorProto('w', [3], 1, rawData(Buffer.alloc(8)))),
    code: 'FORMAT',
    message: /8 bytes of data where float32 \[3\] needs 12; .*tensor 'w'/,
  },
  {
    name: 'dims whose product overflows',
    bytes: modelAround(tensorProto('w', [2 ** 40, 2 ** 40], 1)),
    code: 'FORMAT',
    message: /too large to be real/,
  },
  {
    name: 'an input without a name',
    bytes: modelProto(graphProto({ nodes: [negation], inputs: [x, valueInfoProto('', [1])], outputs: [y] })),
    code: 'GRAPH',
    message: /a graph input without a name/,
  },
  {
    name: 'two inputs of one name',
    bytes: modelProto(graphProto({ nodes: [negation], inputs: [x, x], outputs: [y] })),
    code: 'GRAPH',
    message: /two graph inputs are named 'x'/,
  },
  {
    name: 'two initializers of one name',
    bytes: around([negation], flat(field(5, weight), field(5, weight))),
    code: 'GRAPH',
    message: /'w' is defined twice/,
  },
  {
    name: 'two nodes with one output',
    bytes: around([negation, negation]),
    code: 'GRAPH',
    message: /'y' is defined twice; .*Neg 'neg'/,
  },
  {
    name: 'a node that makes an input',
    bytes: around([nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['x'] })]),
    code: 'GRAPH',
    message: /'x' is defined twice/,
  },
  {
    name: 'a node that reads what is not there',
    bytes: around([nodeProto({ op: 'Neg', inputs: ['z'], outputs: ['y'], name: 'n' })]),
    code: 'GRAPH',
    message: /'z' is read but nothing defines it; .*Neg 'n'/,
  },
  {
    name: 'an output that nothing makes',
    bytes: around([]),
    code: 'GRAPH',
    message: /'y' is read but nothing defines it; .*graph outputs/,
  },
  {
    name: 'a circle',
    bytes: around([nodeProto({ op: 'Add', inputs: ['x', 'y'], outputs: ['y'], name: 'n' })]),
    code: 'GRAPH',
    message: /the graph has a cycle; Add 'n'/,
  },
  {
    name: 'no outputs',
    bytes: modelProto(graphProto({ nodes: [negation], inputs: [x] })),
    code: 'GRAPH',
    message: /the graph has no outputs/,
  },
  {
    name: 'a domain without an opset',
    bytes: around([nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['y'], domain: 'strange' })]),
    code: 'GRAPH',
    message: /no opset is imported for domain 'strange'/,
  },
  {
    name: 'a name with an escape sequence',
    bytes: around([nodeProto({ op: 'Neg', inputs: ['\u{1b}[2J\r\nz'], outputs: ['y'] })]),
    code: 'GRAPH',
    message: /^' ?\[2J z' is read/,
  },
  ...typedRefusals(),
];

function deepType(depth: number): Buffer {
  // TypeProto.sequence_type (4) → Sequence.elem_type (1) → TypeProto …
  const heads: Buffer[] = [];
  let length = 0;
  for (let i = 0; i < depth; i++) {
    for (const number of [1, 4]) {
      heads.push(flat(tag(number, 2), vint(length)));
      length += heads.at(-1)!.length;
    }
  }
  const info = flat(field(1, 'x'), field(2, ...heads.reverse()));
  return modelProto(graphProto({ nodes: [negation], inputs: [info], outputs: [y] }));
}

/** Models with everything odd that is allowed. */
export const oddModels: readonly { readonly name: string; readonly bytes: Uint8Array }[] = [
  { name: 'graphs 30 deep', bytes: nested(30) },
  {
    name: 'unknown fields of every wire type',
    bytes: flat(good, numberField(900, 1), doubleField(901, 1), field(902, 'x'), group(903, floatField(1, 1))),
  },
  {
    name: 'known numbers in another wire type',
    bytes: flat(good, doubleField(7, 1), field(1, 'x'), group(8), floatField(14, 1)),
  },
  {
    name: 'no opset for ai.onnx by that name',
    bytes: flat(
      numberField(1, 8),
      field(
        7,
        graphProto({
          nodes: [nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['y'], domain: 'ai.onnx' })],
          inputs: [x],
          outputs: [y],
        }),
      ),
      field(8, field(1, 'ai.onnx'), numberField(2, 17)),
    ),
  },
  { name: 'an input that is an output', bytes: modelProto(graphProto({ inputs: [x], outputs: [x] })) },
  { name: 'an output twice', bytes: modelProto(graphProto({ nodes: [negation], inputs: [x], outputs: [y, y] })) },
  {
    name: 'an initializer that is an output',
    bytes: modelProto(graphProto({ initializers: [weight], outputs: [valueInfoProto('w', [2])] })),
  },
  {
    name: 'declarations of what is not in the graph',
    bytes: around([negation], field(13, valueInfoProto('elsewhere', [1]))),
  },
  {
    name: 'a sparse initializer',
    bytes: around(
      [nodeProto({ op: 'Add', inputs: ['x', 's'], outputs: ['y'] })],
      field(
        15,
        field(1, tensorProto('s', [1], 1, floatField(4, 1))),
        field(2, tensorProto('', [1], 7, numberField(7, 1))),
        numberField(3, 2),
      ),
    ),
  },
];
