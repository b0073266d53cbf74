import { LowrankError } from '../errors.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';
import { noFlow } from '../ops/gradient.js';
import { findOperator } from '../ops/registry.js';
import { atNode } from '../ops/support/fail.js';
import { showDims } from '../ops/support/layout.js';
import type { TapeEntry } from './backward.js';

/**
 * The tape entry of a node of the emitter's graph, with the gradient rule of its operator. A missing rule throws
 * UNSUPPORTED when a gradient reaches it, naming the node and the nodes that lead to it.
 */
export function nodeEntry(e: Emitter, node: Node): TapeEntry<Value, Value> {
  const { inputs, outputs } = node;
  const gradient = findOperator(node.domain, node.opType)?.gradient;
  return {
    inputs,
    outputs:
      gradient?.kind === 'rule'
        ? outputs.map((output) => (output !== undefined && isReal(e, output) ? output : undefined))
        : outputs,
    label: node.label,
    isDifferentiable: gradient?.kind !== 'zero',
    backward: (gradients, needs) => {
      if (gradient?.kind !== 'rule') throw noGradient(node, gradient?.kind === 'none' ? gradient.reason : undefined);
      const context = { node, opset: e.opsets.get(node.domain) ?? 1, e, inputs, outputs, gradients, needs };
      const { rule } = gradient;
      const result = atNode(node, () => rule(context));
      return inputs.map((input, i) => {
        if (input === undefined || needs[i] !== true) return undefined;
        const given = result[i];
        if (given === undefined) throw noGradient(node, `it has none for its input ${i}, '${input.name}'`);
        if (given === noFlow) return noFlow;
        requireSameDims(e, node, input, given);
        // A gradient is of the type of its value: it takes no more memory than that did.
        return e.cast(given, e.typeOf(input).dataType);
      });
    },
  };
}

/** Only real numbers have gradients: indices, masks and what Cast rounds to integers have none. */
function isReal(e: Emitter, value: Value): boolean {
  return isFloatType(e.typeOf(value).dataType);
}

function requireSameDims(e: Emitter, node: Node, input: Value, gradient: Value): void {
  const [expected, got] = [e.dims(input), e.dims(gradient)];
  if (expected.length === got.length && expected.every((dim, i) => dim === got[i])) return;
  throw new LowrankError('INTERNAL', `the gradient of '${input.name}' ${showDims(expected)} is ${showDims(got)}`, {
    place: node.label,
  });
}

/** UNSUPPORTED, with the nodes that lead to the operator without a gradient. */
export function noGradient(node: Node, reason: string | undefined): LowrankError {
  const operator = `${node.domain === '' ? '' : `${node.domain}.`}${node.opType}`;
  const fact = `${operator} has no gradient${reason === undefined ? '' : `: ${reason}`}`;
  return new LowrankError('UNSUPPORTED', fact, {
    place: `${node.label}${pathTo(node)}`,
    remedy: 'freeze what comes before it (--freeze), or export the model without it',
  });
}

/** The nodes from a parameter or input down to `node`, at most `longest` of them. */
function pathTo(node: Node): string {
  const longest = 8;
  const path: string[] = [];
  for (let next: Node | undefined = node; next !== undefined && path.length < longest;) {
    next = next.inputs.find((input) => input?.producer !== undefined)?.producer;
    if (next !== undefined) path.unshift(next.label);
  }
  return path.length === 0 ? '' : `, reached by ${path.join(' → ')}`;
}
