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

/** float32 [3]. Field numbers here and below are those of onnx.proto. */
function value(name: string): Uint8Array {
  const shape = message(field(1, message(integer(1, 3))));
  return message(field(1, name), field(2, message(field(1, message(integer(1, 1), field(2, shape))))));
}

/**
 * An ONNX model that adds `x` to itself: y = x + x, three float32 each. It proves that onnxruntime runs; written by hand
 * because the runtime room knows nothing of the ONNX reader.
 */
export function tinyModel(): Uint8Array {
  const node = message(field(1, 'x'), field(1, 'x'), field(2, 'y'), field(4, 'Add'));
  const graph = message(field(1, node), field(2, 'tiny'), field(11, value('x')), field(12, value('y')));
  return message(integer(1, 8), field(7, graph), field(8, message(integer(2, 13))));
}
