// The gradient that a training step of lowrank computes, for gradients.py to compare with PyTorch's:
// node scripts/models-table/gradients.js MODEL IMAGES BATCH OUT [portable], IMAGES being float32 numbers of a normal distribution.
// Writes OUT.f32 (parameters, then their gradient, then the statistics of BatchNormalization) and OUT.json (what lies where).
import { readFileSync, writeFileSync } from 'node:fs';
import { checkOpening } from '../../dist/src/rewrite/check-opening.js';
import { loadDriver } from '../../dist/src/runtime/driver.js';
import { targetOf } from '../../dist/src/lower/target.js';
import { buildGradientGraph } from '../../dist/src/step/gradient-graph.js';
import { prepareTraining } from '../../dist/src/step/prepare.js';
import { defaultGraphSettings } from '../../dist/src/step/settings.js';
import { initialState } from '../../dist/src/step/vectors.js';

const [path, imagesPath, wanted, out, name = 'cpu'] = process.argv.slice(2);
const driver = await loadDriver();
const obstacle = await checkOpening(path, { driver, session: {} });
const prepared = prepareTraining(path, { settings: defaultGraphSettings, ownBatch: obstacle ?? false });
const batch = prepared.ownBatch ?? Number(wanted);
const { build, opsets } = await targetOf(name, driver);
const graph = buildGradientGraph(prepared, defaultGraphSettings, { batch, isBatchOpen: false }, build, opsets);
const session = await driver.createSession(graph.bytes());
const { parameters, statistics } = initialState(prepared, 0, false);
const file = readFileSync(imagesPath);
const size = prepared.imageDims.reduce((product, dim) => product * dim, batch);
const data = new Float32Array(file.buffer, file.byteOffset, file.byteLength / 4).slice(0, size);
const { inputs, outputs } = graph.interface;
const result = await session.run({
  [inputs.parameters]: { type: 'float32', dims: [parameters.length], data: parameters },
  [inputs.statistics]: { type: 'float32', dims: [statistics.length], data: statistics },
  [inputs.images]: { type: 'float32', dims: [batch, ...prepared.imageDims], data },
  [inputs.labels]: {
    ...{ type: 'int64', dims: [batch] },
    data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % prepared.classes)),
  },
});
await session.close();
const gradient = result[outputs.gradient].data;
writeFileSync(`${out}.f32`, Buffer.concat([parameters, gradient, statistics].map(({ buffer }) => Buffer.from(buffer))));
const slots = (values) => {
  let offset = 0;
  return values.map(({ name: own, shape }) => {
    const slot = { name: own, shape, offset };
    offset += shape.reduce((product, dim) => product * dim, 1);
    return slot;
  });
};
const facts = {
  ...{ batch, isOwnBatch: prepared.ownBatch !== undefined, loss: result[outputs.loss].data[0] },
  ...{ parameters: slots(prepared.parameters), statistics: slots(prepared.statistics), count: parameters.length },
  kept: prepared.kept.map(({ name: own, reason }) => `${own}: ${reason}`),
};
writeFileSync(`${out}.json`, JSON.stringify(facts));
prepared.model.file?.close();
