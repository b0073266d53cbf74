import { LowrankError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { firstAxis, type Place } from './place.js';

/** An input of a node, as the model was exported. */
export interface Operand {
  readonly value: Value;
  readonly dims: readonly number[];
  /** undefined: it is the same for all images. */
  readonly place: Place | undefined;
  /** Its elements, where they are few and the same for every batch. */
  readonly constant: readonly number[] | undefined;
}

export interface OpenContext {
  readonly node: Node;
  /** Of the node's domain. */
  readonly opset: number;
  /** The size that the model was exported for. */
  readonly batch: number;
  /** Whether the sizes of an image are fixed: then all dims are, but for the batch. */
  readonly isSizeFixed: boolean;
  readonly inputs: readonly (Operand | undefined)[];
  /** Dims of the outputs, as the model was exported. */
  readonly outputs: readonly (readonly number[])[];
  /** Whether the node as it is gives outputs with their images at these places for another batch. */
  gives(places: readonly (Place | undefined)[]): boolean;
}

/** A change of the graph by which a node gives what it gave for every batch. */
export type Edit = (graph: Graph) => void;

export interface Opened {
  /** Of each output. */
  readonly places: readonly (Place | undefined)[];
  /** undefined where the node does as it is. */
  readonly edit?: Edit | undefined;
}

/** How an operator computes image by image, where it does. */
export interface OpenRule {
  /** Inputs that may be computed of the size of the batch. */
  readonly counts?: readonly number[];
  /** Throws an obstacle where the images meet, or where that cannot be told. */
  open(context: OpenContext): Opened;
}

/** Why a batch cannot be opened at a node. */
export function obstacle(fact: string): LowrankError {
  return new LowrankError('UNSUPPORTED', fact);
}

/** Input `index`. */
export function operand({ inputs }: OpenContext, index: number): Operand {
  const found = inputs[index];
  if (found === undefined) throw obstacle(`input ${index} is missing`);
  return found;
}

/** Where an input that must hold the images holds them. */
export function placeOf(context: OpenContext, index: number): Place {
  const { value, place } = operand(context, index);
  if (place === undefined) throw obstacle(`'${value.name}' is the same for all images, unlike another input`);
  return place;
}

/** Numbers of an input that are the same for every batch. */
export function numbersOf(context: OpenContext, index: number): readonly number[] {
  const { value, constant } = operand(context, index);
  if (constant === undefined) throw obstacle(`'${value.name}' is computed at run time`);
  return constant;
}

/** Throws where an input from `index` on depends on the images. */
export function requireShared({ inputs }: OpenContext, index: number): void {
  const other = inputs.slice(index).find((input) => input?.place !== undefined);
  if (other !== undefined) throw obstacle(`'${other.value.name}' differs from image to image`);
}

/** All outputs hold the images at one place. */
export function allAt({ outputs }: OpenContext, place: Place): Opened {
  return { places: outputs.map(() => place) };
}

/** The images lie along the first axis of input 0, alone or with others in front or behind, and of all outputs. */
export function alongFirst(context: OpenContext): Opened {
  const place = placeOf(context, 0);
  if (place.axis !== firstAxis.axis) throw obstacle(`the batch is axis ${place.axis} of its input`);
  requireShared(context, 1);
  return allAt(context, place);
}
