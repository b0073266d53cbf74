import { LowrankError } from '../../errors.js';
import type { Node } from '../../graph/node.js';

/** SHAPE: inputs or attributes of a node that contradict each other. The caller of the rule adds the place (`atNode`). */
export function shapeError(fact: string): LowrankError {
  return new LowrankError('SHAPE', fact);
}

/** UNSUPPORTED: a node that is valid, but that this library cannot handle. */
export function unsupported(node: Node, fact: string): LowrankError {
  return new LowrankError('UNSUPPORTED', fact, { place: node.label });
}

/** Runs `rule` and names `node` in the errors that it throws without a place. */
export function atNode<T>(node: Node, rule: () => T): T {
  try {
    return rule();
  } catch (error) {
    if (!(error instanceof LowrankError) || error.place !== undefined) throw error;
    throw new LowrankError(error.code, error.fact, {
      place: node.label,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: error,
    });
  }
}
