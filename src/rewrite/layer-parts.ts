import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { isFloatType, dataTypeName } from '../onnx/data-type.js';
import type { ShapeTable } from '../ops/infer.js';
import { sizeOf } from '../ops/support/layout.js';
import type { ResolvedWeight } from '../ops/resolve-weight.js';
import type { Geometry } from './geometry.js';
import { storedName } from './layer-label.js';
import type { FixedLayer, Layer } from './layers.js';

/** The last: what onnxruntime makes of a model that it has optimized for one kind of processor. */
export const blockedDomain = 'com.microsoft.nchwc';
export const quantizedOps = new Set([
  'ConvInteger',
  'QLinearConv',
  'MatMulInteger',
  'QLinearMatMul',
  'QGemm',
  'MatMulNBits',
]);
/** Input index of the weight, where it is not 1. */
const weightIndex: Readonly<Record<string, number>> = { QLinearConv: 3, QLinearMatMul: 3, QGemm: 3 };

export function weightInputOf({ opType }: Node): number {
  return weightIndex[opType] ?? 1;
}

/** The label is the name until all layers are known. */
export function namesOf(node: Node, weightInput: number): Pick<Layer, 'name' | 'label' | 'weightName'> {
  return { name: node.id, label: node.id, weightName: storedName(node.inputs[weightInput]) };
}

export function fixed(
  node: Node,
  reason: string,
  details: Partial<Pick<FixedLayer, 'geometry' | 'group' | 'params' | 'macs'>>,
): FixedLayer {
  const geometry: Geometry = { out: 0, in: 0, kernel: [1, 1], inputSize: [1, 1], outputSize: [1, 1], batch: 1 };
  const identity = { node, ...namesOf(node, weightInputOf(node)) };
  return { kind: 'fixed', ...identity, reason, geometry, group: 1, params: 0, macs: 0, ...details };
}

export function commonRefusal(weight: ResolvedWeight, geometry: Geometry, isKnown: boolean): string | undefined {
  if (!isFloatType(weight.dataType)) return `weight of type ${dataTypeName(weight.dataType)}`;
  if (!isKnown) return 'its shapes could not be found out';
  const isEmpty = geometry.out * geometry.in * geometry.kernel[0] * geometry.kernel[1] === 0;
  return isEmpty ? 'empty weight' : undefined;
}

export function noConstant(value: Value | undefined): string {
  return isQuantizedWeight(value)
    ? 'quantized: its weight comes from DequantizeLinear'
    : 'its weight is computed at run time';
}

export function isQuantizedWeight(value: Value | undefined): boolean {
  return (
    value?.producer?.opType === 'DequantizeLinear' && value.producer.inputs[0]?.producer?.opType !== 'QuantizeLinear'
  );
}

export function typeOf(value: Value | undefined, shapes: ShapeTable): { readonly dims: readonly number[] } | undefined {
  return value === undefined ? undefined : shapes.typeOf(value);
}

export function countOf(value: Value | undefined, shapes: ShapeTable): number {
  const type = typeOf(value, shapes);
  return type === undefined ? 0 : sizeOf(type.dims);
}
