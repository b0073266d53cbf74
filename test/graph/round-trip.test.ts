import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import { encodeModel } from '../../src/graph/encode.js';
import { readModel } from '../../src/graph/read.js';
import type { Chunk } from '../../src/files/chunk.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';

function join(chunks: readonly Chunk[]): Buffer {
  return Buffer.concat(
    chunks.map((chunk) => (chunk instanceof Uint8Array ? chunk : chunk.source.read(chunk.start, chunk.end))),
  );
}

describe.skipIf(!hasShared)('reading and writing real models', () => {
  it.each(sharedModels())('%s comes back byte for byte', (name) => {
    const model = readModel(modelPath(name));
    checkModel(model);
    const written = join(encodeModel(model));
    expect(Buffer.compare(written, readFileSync(modelPath(name)))).toBe(0);
    model.file?.close();
  });

  it.each(sharedModels())('%s: re-encoding every node keeps its meaning', (name) => {
    const model = readModel(modelPath(name));
    for (const node of model.graph.nodes) node.touch();
    const again = readModel(join(encodeModel(model)), { externalDataFolder: modelPath(name).replace(/[^/]*$/, '') });
    checkModel(again);
    expect(again.graph.nodes.map((node) => [node.label, [...node.attributes.keys()]])).toEqual(
      model.graph.nodes.map((node) => [node.label, [...node.attributes.keys()]]),
    );
    again.file?.close();
    model.file?.close();
  });
});
