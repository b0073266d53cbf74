import { FLOAT } from '../onnx/data-type.js';
import { addInput, addOutput, emitted, type EmittedGraph, startGraph } from './emitted.js';
import { trainingOpset } from './prepare.js';

/**
 * Emits result = a·x + b·y for vectors [n] and scalars a, b: moving averages (a the decay, b = 1 − a) and sums of
 * gradients over micro-batches.
 */
export function buildCombineGraph(length: number): EmittedGraph {
  const { model, e } = startGraph('combine', new Map([['', trainingOpset]]), false);
  const x = addInput(e, 'x', FLOAT, [length]);
  const y = addInput(e, 'y', FLOAT, [length]);
  const a = addInput(e, 'a', FLOAT, []);
  const b = addInput(e, 'b', FLOAT, []);
  addOutput(e, e.emit('Add', [e.mul(x, a), e.mul(y, b)], {}, { name: 'result' }));
  return emitted(model);
}
