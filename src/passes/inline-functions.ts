import { LowrankError } from '../errors.js';
import { hasBody } from '../graph/body-nodes.js';
import { bodyNodes, boundTo, type ModelFunction, readFunctions } from '../graph/function.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';

/** A body that calls functions that call functions …: what a model that means it stays far below. */
const mostDepth = 32;
const mostNodes = 1_000_000;

/**
 * Puts the bodies of a model's own functions in the place of the nodes that call them, in place. Names in a body get that of
 * the call in front; weights that are inputs of the calls keep theirs. With `what can be`, calls whose body cannot be put there stay.
 * Throws UNSUPPORTED where a function was written for another opset than the model, runs graphs of its own, calls itself, or
 * grows beyond a million nodes.
 */
export function inlineFunctions(model: Model, wanted: 'all' | 'what can be' = 'all'): void {
  const { graph } = model;
  if (model.functions.length === 0) return;
  const left = new Set<Node>();
  const functions = readFunctions(model);
  for (let depth = 0; ; depth++) {
    const calls = graph.nodes.filter((node) => functions.has(`${node.domain}:${node.opType}`) && !left.has(node));
    if (calls.length === 0) return;
    for (const call of calls) {
      const body = functions.get(`${call.domain}:${call.opType}`)!;
      const reason = whyNot(model, body, depth);
      if (reason !== undefined && wanted === 'all') throw cannot(call, reason);
      if (reason !== undefined) {
        left.add(call);
        continue;
      }
      graph.replaceNode(call, () => bodyNodes(graph, call, body, boundTo(call, body), `${call.id}/`));
      for (const [domain, version] of body.opsets) if (!model.opsets.has(domain)) model.opsets.set(domain, version);
      if (graph.nodes.length > mostNodes) throw cannot(call, `its functions make more than ${mostNodes} nodes`);
    }
  }
}

/** Why a call must stay one; undefined where its body can stand in its place. */
function whyNot(model: Model, body: ModelFunction, depth: number): string | undefined {
  if (depth >= mostDepth) return 'its functions call each other without end';
  for (const [domain, version] of body.opsets) {
    const own = model.opsets.get(domain);
    if (own === undefined || own === version || !body.nodes.some((node) => node.domain === domain)) continue;
    return `it is written for opset ${version} of ${domain === '' ? 'ai.onnx' : domain}, the model for ${own}`;
  }
  const control = body.nodes.find(hasBody);
  return control === undefined ? undefined : `its ${control.opType} runs graphs of its own`;
}

function cannot(call: Node, why: string): LowrankError {
  return new LowrankError('UNSUPPORTED', `the function '${call.opType}' cannot be put in place: ${why}`, {
    place: call.label,
    remedy: 'inline the functions when the model is exported (onnx.inliner.inline_local_functions)',
  });
}
