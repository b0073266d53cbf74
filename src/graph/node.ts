import { LowrankError } from '../errors.js';
import { assemble, type Item, type Replacement, type Slot } from '../onnx/assemble.js';
import { NodeProto } from '../onnx/proto.js';
import { type ByteRange, memorySource } from '../files/source.js';
import type { Tensor } from '../onnx/tensor.js';
import { delimited, fields, text } from '../onnx/wire.js';
import { type Chunk, gather } from '../files/chunk.js';
import { type Attribute, attributeName, writeAttribute } from './attribute.js';
import { rewriteTensors, type TensorRewriter } from './nested.js';
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

/** Field numbers of NodeProto. */
export const nodeFields = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const;

/** Operator and name of a node. */
export interface NodeHead {
  readonly opType: string;
  readonly domain?: string;
  readonly name?: string;
}

const noAttributes: ReadonlyMap<string, Attribute> = new Map();

/** An operator call. Its edges are changed through Graph only. */
export class Node {
  readonly opType: string;
  /** "" for ai.onnx. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: (Value | undefined)[] = [];
  readonly outputs: (Value | undefined)[] = [];
  #attributes: ReadonlyMap<string, Attribute>;
  /** The NodeProto it was read from. */
  readonly #original: ByteRange | undefined;
  /** Whether it no longer equals `#original`. */
  #isTouched = false;
  /** Attributes set since reading; undefined for those removed. */
  #edits: Map<string, Attribute | undefined> | undefined;

  /** `original` are the bytes that the node was read from; undefined for new nodes. */
  constructor(head: NodeHead, attributes: ReadonlyMap<string, Attribute>, original: ByteRange | undefined) {
    this.opType = head.opType;
    this.domain = head.domain === undefined || head.domain === 'ai.onnx' ? '' : head.domain;
    this.name = head.name ?? '';
    this.#attributes = attributes.size === 0 ? noAttributes : attributes;
    this.#original = original;
    if (original === undefined && attributes.size > 0) this.#edits = new Map(attributes);
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
    this.#attributes = new Map(this.#attributes).set(name, attribute);
    this.#edit(name, attribute);
  }

  removeAttribute(name: string): void {
    if (!this.#attributes.has(name)) return;
    const attributes = new Map(this.#attributes);
    attributes.delete(name);
    this.#attributes = attributes;
    this.#edit(name, undefined);
  }

  /** The node no longer equals its bytes in the file. Called by Graph when an edge changes. */
  touch(): void {
    this.#isTouched = true;
  }

  /**
   * The NodeProto without its tag: the original bytes where nothing changed, and of a changed node all fields but the
   * changed ones. `rewrite` may exchange tensors anywhere inside.
   */
  encode(rewrite?: TensorRewriter): Chunk[] {
    const original = this.#original;
    if (original !== undefined && !this.#isTouched) {
      return (rewrite === undefined ? undefined : rewriteTensors(original, 'node', rewrite)) ?? [original];
    }
    const names = (number: number, values: readonly (Value | undefined)[]): Replacement => ({
      wireType: 2,
      items: values.map((value) => ({ chunks: [text(number, value?.name ?? '')] })),
    });
    const slots = [...(original === undefined ? [] : fields(original))].map(
      ({ number, wireType, start, payload, end }) => ({
        number,
        wireType,
        whole: { source: original!.source, start, end },
        payload: { source: original!.source, start: payload, end },
      }),
    );
    const attributes = slots.filter(({ number, wireType }) => number === nodeFields.attribute && wireType === 2);
    const replaced = new Map<number, Replacement>([
      [nodeFields.input, names(nodeFields.input, this.inputs)],
      [nodeFields.output, names(nodeFields.output, this.outputs)],
      [nodeFields.attribute, { wireType: 2, items: this.#encodeAttributes(attributes, rewrite) }],
    ]);
    const chunks = assemble(slots, replaced);
    if (original !== undefined) return chunks;
    const { opType, name, domain } = this;
    return [
      NodeProto.encode({ op_type: opType, ...(name === '' ? {} : { name }), ...(domain === '' ? {} : { domain }) }),
      ...chunks,
    ];
  }

  /** Attributes where they were, changed ones in place of the old, new ones behind. */
  #encodeAttributes(
    originals: readonly (Slot & { readonly payload: ByteRange })[],
    rewrite: TensorRewriter | undefined,
  ): Item[] {
    const edits = new Map(this.#edits);
    const items: Item[] = [];
    const rewritten = (payload: ByteRange): Chunk[] | undefined =>
      rewrite === undefined ? undefined : rewriteTensors(payload, 'attribute', rewrite);
    const add = (chunks: readonly Chunk[]): void => {
      items.push({ chunks: delimited(nodeFields.attribute, chunks) });
    };
    const addEdited = (name: string, attribute: Attribute): void => {
      const chunks = writeAttribute(name, attribute);
      if (rewrite === undefined || attribute.type === 'tensor') return add(chunks);
      const source = memorySource(gather(chunks), `attribute '${name}'`);
      return add(rewritten({ source, start: 0, end: source.size }) ?? chunks);
    };
    for (const slot of originals) {
      const name = this.#edits === undefined ? undefined : attributeName(slot.payload);
      if (name === undefined || this.#edits?.has(name) !== true) {
        const changed = rewritten(slot.payload);
        if (changed === undefined) items.push({ slot });
        else add(changed);
        continue;
      }
      const attribute = edits.get(name);
      if (attribute !== undefined) addEdited(name, attribute);
      edits.delete(name);
    }
    for (const [name, attribute] of edits) if (attribute !== undefined) addEdited(name, attribute);
    return items;
  }

  #edit(name: string, attribute: Attribute | undefined): void {
    (this.#edits ??= new Map()).set(name, attribute);
    this.touch();
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
