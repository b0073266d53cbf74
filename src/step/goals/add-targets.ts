import type { Value } from '../../graph/value.js';
import { FLOAT, INT64 } from '../../onnx/data-type.js';
import type { Emitter } from '../../ops/emitter.js';
import { addInput } from '../emitted.js';
import type { LossTarget } from '../losses/loss.js';

/** Inputs of the graph for what a loss compares with, by name. */
export function addTargets(e: Emitter, targets: readonly LossTarget[], batch: number): Record<string, Value> {
  return Object.fromEntries(
    targets.map(({ name, type, dims }) => [
      name,
      addInput(e, name, type === 'int64' ? INT64 : FLOAT, [batch, ...dims], true),
    ]),
  );
}
