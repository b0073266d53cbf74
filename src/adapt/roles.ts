import type { Trainable } from '../step/goals/goal.js';
import { layOut } from '../step/flat.js';
import type { Parameter } from '../step/prepare-model.js';

/**
 * The same model, of whose parameters only some are trained; the others are held: the gradient graph takes them beside the running
 * statistics, and gives them back as they are.
 */
export function withRoles<T extends Trainable>(prepared: T, isTrained: (parameter: Parameter) => boolean): T {
  const held = prepared.parameters.filter((parameter) => !isTrained(parameter));
  return {
    ...prepared,
    pairs: [],
    parameters: layOut(prepared.parameters.filter(isTrained)),
    statistics: layOut([...held.map(({ value, name, shape }) => ({ value, name, shape })), ...prepared.statistics]),
  };
}
