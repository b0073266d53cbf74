import { differentiate } from '../../autodiff/differentiate.js';
import { LowrankError } from '../../errors.js';
import { Graph } from '../../graph/graph.js';
import type { Value } from '../../graph/value.js';
import { FLOAT } from '../../onnx/data-type.js';
import { Emitter } from '../../ops/emitter.js';
import { trainingOpset } from '../../passes/raise-opset.js';
import type { ActivationRegion } from '../../rewrite/activation-region.js';
import type { ActivationForm } from './activation-form.js';

/** The nodes of a region, copied. `opsets` are those of the model that it is in. */
export function regionForm(
  { input, output, nodes, constants }: ActivationRegion,
  opsets: ReadonlyMap<string, number>,
): ActivationForm {
  const others = nodes.filter(({ domain }) => domain !== '');
  const needed = others.map(({ domain }) => [domain, opsets.get(domain) ?? 1] as const);
  return {
    name: nodes.map(({ opType }) => opType).join('+'),
    opsets: new Map([['', Math.max(trainingOpset, opsets.get('') ?? 0)], ...needed]),
    emit: (e, z) => {
      const values = new Map<Value, Value>([[input, z]]);
      for (const [value, numbers] of constants) {
        values.set(value, e.floats(numbers, numbers.length === 1 ? [] : [numbers.length]));
      }
      for (const { opType, domain, inputs, outputs, attributes } of nodes) {
        const copied = inputs.map((value) => (value === undefined ? undefined : values.get(value)!));
        values.set(outputs[0]!, e.emit(opType, copied, Object.fromEntries(attributes), { domain }));
      }
      return values.get(output)!;
    },
  };
}

/** Why a form cannot be fitted through, found out by emitting it and its gradient once; undefined where it can. */
export function obstacleOf(form: ActivationForm, neurons: number): string | undefined {
  const graph = new Graph('activation');
  const e = new Emitter(graph, { opsets: new Map([['', trainingOpset], ...form.opsets]) });
  const type = { dataType: FLOAT, dims: [2, neurons] };
  const z = e.declare(graph.addInput('z', type), type);
  const dy = e.declare(graph.addInput('dy', type), type);
  try {
    const y = form.emit(e, z);
    const gradients = differentiate(e, [...graph.nodes], new Map([[y, dy]]), [z]);
    return gradients.has(z) ? undefined : 'its derivative is zero wherever it exists';
  } catch (error) {
    if (error instanceof LowrankError) return error.fact;
    throw error;
  }
}
