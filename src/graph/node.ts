import { LowrankError } from '../errors.js';
import { type Message, NodeProto } from '../onnx/proto.js';
import type { ByteRange } from '../onnx/source.js';
import type { Tensor } from '../onnx/tensor.js';
import type { Chunk } from '../onnx/wire.js';
import { type Attribute, writeAttribute } from './attribute.js';
import type { Value } from './value.js';

/** What a new node is made of. `undefined` inputs and outputs are the optional ones left out. */
export interface NodeSpec {
  readonly opType: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** An operator call. Its edges are changed through Graph only. */
export class Node {
  readonly opType: string;
  /** "" for ai.onnx. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: (Value | undefined)[] = [];
  readonly outputs: (Value | undefined)[] = [];
  readonly #attributes: Map<string, Attribute>;
  /** The decoded NodeProto, fields unknown to us included. */
  readonly #message: Message;
  #original: ByteRange | undefined;

  /** `original` are the bytes that `message` was decoded from; undefined for new nodes. */
  constructor(message: Message, attributes: Map<string, Attribute>, original: ByteRange | undefined) {
    this.opType = String(message['op_type'] ?? '');
    const domain = String(message['domain'] ?? '');
    this.domain = domain === 'ai.onnx' ? '' : domain;
    this.name = String(message['name'] ?? '');
    this.#message = message;
    this.#attributes = attributes;
    this.#original = original;
  }

  /** "Conv 'layer1.0.conv1'", for errors; nodes without a name are called by their first output. */
  get label(): string {
    return `${this.opType} '${this.id}'`;
  }

  /** The name, or the first output's name where the node has none. */
  get id(): string {
    return this.name !== '' ? this.name : (this.outputs.find((value) => value !== undefined)?.name ?? '');
  }

  get attributes(): ReadonlyMap<string, Attribute> {
    return this.#attributes;
  }

  /** Whether the node is of ai.onnx and has this operator type. */
  is(opType: string): boolean {
    return this.domain === '' && this.opType === opType;
  }

  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    const attribute = this.#typed(name, 'int');
    return attribute === undefined ? fallback : (attribute.value as number);
  }

  float(name: string): number | undefined;
  float(name: string, fallback: number): number;
  float(name: string, fallback?: number): number | undefined {
    const attribute = this.#typed(name, 'float');
    return attribute === undefined ? fallback : (attribute.value as number);
  }

  string(name: string, fallback: string): string {
    const attribute = this.#typed(name, 'string');
    return attribute === undefined ? fallback : (attribute.value as string);
  }

  ints(name: string): readonly number[] | undefined {
    const attribute = this.#typed(name, 'ints');
    return attribute === undefined ? undefined : (attribute.value as readonly number[]);
  }

  floats(name: string): readonly number[] | undefined {
    const attribute = this.#typed(name, 'floats');
    return attribute === undefined ? undefined : (attribute.value as readonly number[]);
  }

  tensor(name: string): Tensor | undefined {
    const attribute = this.#typed(name, 'tensor');
    return attribute === undefined ? undefined : (attribute.value as Tensor);
  }

  setAttribute(name: string, attribute: Attribute): void {
    this.#attributes.set(name, attribute);
    const list = (this.#message['attribute'] ??= []) as Message[];
    const index = list.findIndex((message) => message['name'] === name);
    const message = writeAttribute(name, attribute);
    if (index < 0) list.push(message);
    else list[index] = message;
    this.touch();
  }

  removeAttribute(name: string): void {
    if (!this.#attributes.delete(name)) return;
    const list = (this.#message['attribute'] ?? []) as Message[];
    this.#message['attribute'] = list.filter((message) => message['name'] !== name);
    this.touch();
  }

  /** The node no longer equals its bytes in the file. Called by Graph when an edge changes. */
  touch(): void {
    this.#original = undefined;
  }

  /** The node as a copy of its message, for making a variant of it. Edges are not part of it. */
  cloneMessage(): Message {
    return NodeProto.decode(NodeProto.encode(this.#message));
  }

  /** The NodeProto without its tag: the original bytes where nothing changed. */
  encode(): Chunk[] {
    if (this.#original !== undefined) return [this.#original];
    const names = (values: readonly (Value | undefined)[]): string[] => values.map((value) => value?.name ?? '');
    this.#message['input'] = names(this.inputs);
    this.#message['output'] = names(this.outputs);
    return [NodeProto.encode(this.#message)];
  }

  #typed(name: string, type: Attribute['type']): Attribute | undefined {
    const attribute = this.#attributes.get(name);
    if (attribute === undefined || attribute.type === type) return attribute;
    // An empty list has no type of its own in old files.
    if (attribute.type === 'other') return undefined;
    throw new LowrankError('GRAPH', `attribute '${name}' is ${attribute.type} where ${type} is needed`, {
      place: this.label,
    });
  }
}
