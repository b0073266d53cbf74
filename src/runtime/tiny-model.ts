/** Bytes of one length-delimited protobuf field; every length here is below 128. */
function field(number: number, content: Uint8Array | string): Uint8Array {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes]);
}

/** Bytes of one protobuf field that is a small integer. */
function integer(number: number, value: number): Uint8Array {
  return Buffer.of(number << 3, value);
}

function message(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

/** A tensor; `shape` is a TensorShapeProto. Field numbers here and below are those of onnx.proto. */
function value(name: string, elementType: number, ...shape: readonly Uint8Array[]): Uint8Array {
  return message(field(1, name), field(2, message(field(1, message(integer(1, elementType), ...shape)))));
}

const FLOAT = 1;

/**
 * An ONNX model that adds `x` to itself: y = x + x, three float32 each. It proves that onnxruntime runs; written by hand
 * because the runtime room knows nothing of the ONNX reader.
 */
export function tinyModel(): Uint8Array {
  const node = message(field(1, 'x'), field(1, 'x'), field(2, 'y'), field(4, 'Add'));
  const three = field(2, message(field(1, message(integer(1, 3)))));
  return model(node, value('x', FLOAT, three), value('y', FLOAT, three));
}

/** An ONNX model that copies: y = x, of any shape, of the element type with this number in `TensorProto.DataType`. */
export function identityModel(elementType: number): Uint8Array {
  const node = message(field(1, 'x'), field(2, 'y'), field(4, 'Identity'));
  return model(node, value('x', elementType), value('y', elementType));
}

function model(node: Uint8Array, x: Uint8Array, y: Uint8Array): Uint8Array {
  const graph = message(field(1, node), field(2, 'tiny'), field(11, x), field(12, y));
  return message(integer(1, 8), field(7, graph), field(8, message(integer(2, 13))));
}
