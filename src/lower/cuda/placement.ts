import type { Model } from '../../graph/model.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { BFLOAT16, FLOAT16, dataTypeInfo } from '../../onnx/data-type.js';
import type { ShapeTable } from '../../ops/infer.js';
import { missingKernel } from './kernels.js';
import { readsOnCpu, writesOnCpu } from './memory.js';
import { type CudaSession, restrictionOf } from './restrictions.js';

/** A node that onnxruntime runs on the CPU in a CUDA session, and why. */
export interface CpuNode {
  readonly node: Node;
  readonly reason: string;
}

const shapeReason = 'onnxruntime computes with shapes on the CPU';

/** Whether onnxruntime prefers the CPU for a node that computes with shapes, and has a kernel for it on CUDA. */
export function isOfShapes({ reason }: CpuNode): boolean {
  return reason === shapeReason;
}

/** Elements of an initializer that may move with a node to the CPU: `kSmallInitializerThreshold`. */
const fewElements = 100;

/**
 * The nodes of a model that onnxruntime gives to the CPU when its device is CUDA: those without a kernel there, and those
 * that compute with shapes (`GetCpuPreferredNodes` in onnxruntime/core/framework/fallback_cpu_capability.cc). What
 * onnxruntime computes when it loads a model, or takes out, is not there to be placed. With `prefer_nhwc` it divides the graph
 * a second time and leaves shapes on the GPU. `scripts/cuda-kernels.py place` asks
 * the provider itself.
 */
export function cpuNodes(model: Model, shapes: ShapeTable, session: CudaSession = {}): readonly CpuNode[] {
  const { graph } = model;
  const loaded = new Set<Value>(); // known before the first run
  const open = new Set<Value>(); // of a shape that is not known then
  const onCpu = new Set<Value>();
  const inputs = new Set<Value>();
  for (const value of graph.inputs) {
    if (value.tensor !== undefined) continue;
    inputs.add(value);
    if (value.declared?.dims?.every((dim) => typeof dim === 'number') !== true) open.add(value);
  }
  const isLoaded = (value: Value): boolean => value.tensor !== undefined || loaded.has(value);
  const isSmall = (value: Value): boolean => sizeOf(shapes.typeOf(value)?.dims) <= fewElements;

  const found: CpuNode[] = [];
  for (const node of graph.sorted()) {
    const given = node.inputs.filter((value) => value !== undefined);
    const outputs = node.outputs.filter((value) => value !== undefined);
    const isOpen = given.some((value) => open.has(value));
    const isFolded =
      node.is('Constant') ||
      isTakenOut(node) ||
      (given.length > 0 && given.every(isLoaded) && !node.is('DequantizeLinear')) ||
      (node.domain === '' && writesOnCpu(node.opType) && !isOpen);
    if (isFolded) {
      const [source] = given;
      for (const value of outputs) {
        if (!isTakenOut(node) || isLoaded(source!)) loaded.add(value);
        if (isOpen) open.add(value);
        if (isTakenOut(node) && onCpu.has(source!)) onCpu.add(value);
      }
      continue;
    }
    if (isOpen) for (const value of outputs) open.add(value);
    const type = (value: Value | undefined): number | undefined =>
      value === undefined ? undefined : shapes.typeOf(value)?.dataType;
    const missing =
      missingKernel({
        domain: node.domain,
        opType: node.opType,
        opset: model.opsets.get(node.domain) ?? 1,
        inputs: node.inputs.map(type),
        outputs: node.outputs.map(type),
      }) ?? restrictionOf(node, session);
    const mayMove = (value: Value, index: number): boolean => {
      const dataType = type(value);
      if (dataType === FLOAT16 || dataType === BFLOAT16 || dataTypeInfo(dataType ?? 0)?.bits === 0) return false;
      if (inputs.has(value) || (isLoaded(value) && isSmall(value))) return true;
      return onCpu.has(value) && !readsOnCpu(node.opType, index);
    };
    const isBehind = given.some((value) => onCpu.has(value));
    const isShape =
      session.nhwc !== true &&
      isBehind &&
      node.inputs.every((value, index) => value === undefined || mayMove(value, index));
    if (missing !== undefined || isShape) found.push({ node, reason: isShape ? shapeReason : missing! });
    const staysOnCpu = isShape || (missing === undefined ? writesOnCpu(node.opType) : isBehind);
    if (staysOnCpu) for (const value of outputs) onCpu.add(value);
  }
  return found;
}

/** Nodes that give what they are given: `IdentityElimination` and `EliminateDropout` of onnxruntime. */
function isTakenOut(node: Node): boolean {
  if (node.is('Identity')) return true;
  return node.is('Dropout') && node.inputs[2] === undefined && (node.outputs[1]?.uses.length ?? 0) === 0;
}

function sizeOf(dims: readonly number[] | undefined): number {
  return dims === undefined ? Infinity : dims.reduce((product, dim) => product * dim, 1);
}

/** Nodes of an operator that are named in one line. */
const mostNames = 5;

/**
 * "5 nodes of model.onnx run on the CPU in a CUDA session: Elu ×2 ('a', 'b'): it has no kernel on CUDA in opset 22; Gather
 * ×2, Concat ×1: onnxruntime computes with shapes on the CPU"; undefined where there are none.
 */
export function describeCpuNodes(nodes: readonly CpuNode[], graph: string): string | undefined {
  if (nodes.length === 0) return undefined;
  const reasons = new Map<string, Map<string, string[]>>();
  for (const { node, reason } of nodes) {
    const operators = reasons.get(reason) ?? new Map<string, string[]>();
    reasons.set(reason, operators.set(node.opType, [...(operators.get(node.opType) ?? []), `'${node.id}'`]));
  }
  const texts = [...reasons].map(([reason, operators]) => {
    const listed = [...operators].map(([opType, names]) => {
      const shown = names.length > mostNames ? [...names.slice(0, mostNames), '…'] : names;
      return `${opType} ×${names.length}${reason === shapeReason ? '' : ` (${shown.join(', ')})`}`;
    });
    return `${listed.join(', ')}: ${reason}`;
  });
  const [count, verb] = nodes.length === 1 ? ['1 node', 'runs'] : [`${nodes.length} nodes`, 'run'];
  return `${count} of ${graph} ${verb} on the CPU in a CUDA session: ${texts.join('; ')}`;
}
