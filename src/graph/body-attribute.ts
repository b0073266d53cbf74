import { memorySource } from '../files/source.js';
import { gather } from '../files/chunk.js';
import type { Attribute } from './attribute.js';
import { encodeGraph } from './encode.js';
import type { Graph } from './graph.js';

/**
 * A graph as the body of a Loop, Scan or If. Values without producer that are neither inputs nor initializers are read from
 * outside, by their names.
 */
export function bodyAttribute(body: Graph): Attribute {
  const bytes = gather(encodeGraph(body, (tensor) => tensor.encodeInline(), undefined));
  return { type: 'graph', value: { source: memorySource(bytes, body.name), start: 0, end: bytes.length } };
}
