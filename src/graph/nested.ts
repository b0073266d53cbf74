import { LowrankError } from '../errors.js';
import type { ByteRange } from '../files/source.js';
import { deepestNesting, delimited, fields } from '../onnx/wire.js';
import type { Chunk } from '../files/chunk.js';

/** Messages of onnx.proto that hold tensors, directly or further in. */
export type TensorHolder = 'graph' | 'node' | 'attribute' | 'function' | 'training' | 'sparse';

const children: Record<TensorHolder, ReadonlyMap<number, TensorHolder | 'tensor'>> = {
  graph: new Map<number, TensorHolder | 'tensor'>([
    [1, 'node'],
    [5, 'tensor'],
    [15, 'sparse'],
  ]),
  node: new Map([[5, 'attribute']]),
  attribute: new Map<number, TensorHolder | 'tensor'>([
    [5, 'tensor'],
    [6, 'graph'],
    [10, 'tensor'],
    [11, 'graph'],
    [22, 'sparse'],
    [23, 'sparse'],
  ]),
  function: new Map<number, TensorHolder>([
    [7, 'node'],
    [11, 'attribute'],
  ]),
  training: new Map([
    [1, 'graph'],
    [2, 'graph'],
  ]),
  sparse: new Map([
    [1, 'tensor'],
    [2, 'tensor'],
  ]),
};

/** A TensorProto in other bytes; undefined where it stays. */
export type TensorRewriter = (tensor: ByteRange) => readonly Chunk[] | undefined;

/**
 * Walks every TensorProto inside a message without decoding the rest, and gives the message with the rewritten ones in
 * place; undefined where none was. Throws FORMAT where messages nest deeper than protobuf's readers allow.
 */
export function rewriteTensors(
  message: ByteRange,
  holder: TensorHolder,
  rewrite: TensorRewriter,
  depth = 0,
): Chunk[] | undefined {
  const { source } = message;
  refuseDepth(message, depth);
  const chunks: Chunk[] = [];
  let copied = message.start;
  for (const { number, wireType, start, payload, end } of fields(message)) {
    const kind = wireType === 2 ? children[holder].get(number) : undefined;
    if (kind === undefined) continue;
    const child = { source, start: payload, end };
    const changed = kind === 'tensor' ? rewrite(child) : rewriteTensors(child, kind, rewrite, depth + 1);
    if (changed === undefined) continue;
    if (start > copied) chunks.push({ source, start: copied, end: start });
    for (const chunk of delimited(number, changed)) chunks.push(chunk);
    copied = end;
  }
  if (copied === message.start) return undefined;
  if (message.end > copied) chunks.push({ source, start: copied, end: message.end });
  return chunks;
}

export function refuseDepth({ source, start }: ByteRange, depth: number): void {
  if (depth <= deepestNesting) return;
  throw new LowrankError('FORMAT', `graphs nested more than ${deepestNesting} messages deep`, {
    place: `${source.label} at byte ${start}`,
    remedy: 'no ONNX reader accepts this: export the model again',
  });
}
