import { LowrankError } from '../../errors.js';
import { hasBody } from '../../graph/body-nodes.js';
import type { Model } from '../../graph/model.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { ShapeTable } from '../../ops/infer.js';
import type { Known } from '../../ops/operator.js';
import { findOperator } from '../../ops/registry.js';
import { findOpenRule } from './index.js';
import { firstAxis, type Place, withImages } from './place.js';
import { type Edit, obstacle, type Opened, type OpenContext, type Operand } from './rule.js';

/** Where the images lie in all that depends on them, and what is to be changed so that they may be more or fewer. */
export interface Propagated {
  readonly places: ReadonlyMap<Value, Place>;
  readonly edits: readonly Edit[];
}

/** How many times as many images as the model was exported for the graph is looked at with: sizes of models are seldom that. */
export const manyTimes = 13;

/**
 * Follows the images of a batch from the first axis of `images` through the graph, operator by operator, each of which
 * says where its outputs hold them: with one image of its own each, or `batch` of them, it computes what it did.
 * `shapes` are of the batch that the model was exported for. Throws UNSUPPORTED at the first node where images meet or
 * may meet, or that no rule knows; the graph is left as it was.
 */
export function propagateBatch(model: Model, images: Value, batch: number, shapes: ShapeTable): Propagated {
  const walk = new Walk(model, images, batch, shapes);
  for (const node of model.graph.sorted()) {
    try {
      walk.visit(node);
    } catch (error) {
      if (!(error instanceof LowrankError)) throw error;
      throw new LowrankError('UNSUPPORTED', error.fact, { place: node.label, cause: error });
    }
  }
  return walk;
}

class Walk implements Propagated {
  readonly places = new Map<Value, Place>();
  readonly edits: Edit[] = [];
  /** Small values that are computed of the size of the batch, with `manyTimes` the images. */
  readonly #counts = new Map<Value, Known>();
  readonly #model: Model;
  readonly #batch: number;
  readonly #shapes: ShapeTable;
  readonly #isSizeFixed: boolean;

  constructor(model: Model, images: Value, batch: number, shapes: ShapeTable) {
    this.#model = model;
    this.#batch = batch;
    this.#shapes = shapes;
    this.#isSizeFixed = images.declared?.dims?.slice(1).every((dim) => typeof dim === 'number') === true;
    this.places.set(images, firstAxis);
  }

  visit(node: Node): void {
    const given = node.inputs.filter((value) => value !== undefined);
    if (hasBody(node)) throw obstacle('it has a body');
    if (!given.some((value) => this.places.has(value) || this.#counts.has(value))) return;
    const again = this.#inferAgain(node);
    if (again !== undefined && this.#isCount(node, again)) {
      node.outputs.forEach((value, index) => value !== undefined && this.#counts.set(value, again[index]!));
      return;
    }
    const { places, edit } = this.#open(node, again);
    node.outputs.forEach((value, index) => {
      const place = places[index];
      if (value !== undefined && place !== undefined) this.places.set(value, place);
    });
    if (edit !== undefined) this.edits.push(edit);
  }

  /** What is known of the outputs with more images; undefined where the node does not take them as it is. */
  #inferAgain(node: Node): readonly (Known | undefined)[] | undefined {
    const operator = findOperator(node.domain, node.opType);
    const inputs = node.inputs.map((value) => (value === undefined ? undefined : this.#knownAgain(value)));
    if (operator === undefined) return undefined;
    try {
      return operator.infer({ node, opset: this.#model.opsets.get(node.domain) ?? 1, inputs });
    } catch (error) {
      if (error instanceof LowrankError && error.code === 'SHAPE') return undefined;
      throw error;
    }
  }

  #knownAgain(value: Value): Known {
    const { dataType, dims, constant } = this.#known(value);
    const place = this.places.get(value);
    if (place !== undefined) return { dataType, dims: withImages(dims, place, manyTimes) };
    return this.#counts.get(value) ?? { dataType, dims, ...(constant === undefined ? {} : { constant }) };
  }

  #known(value: Value): Known {
    const type = this.#shapes.typeOf(value);
    if (type === undefined) throw obstacle(`the shape of '${value.name}' is not known`);
    const constant = this.#shapes.constantOf(value);
    return constant === undefined ? type : { ...type, constant };
  }

  /** Whether all outputs are small values of the same dims, whatever the images are. */
  #isCount(node: Node, again: readonly (Known | undefined)[]): boolean {
    return node.outputs.every((value, index) => {
      if (value === undefined) return true;
      const known = again[index];
      return known?.constant !== undefined && known.dims.join() === this.#known(value).dims.join();
    });
  }

  #open(node: Node, again: readonly (Known | undefined)[] | undefined): Opened {
    const rule = findOpenRule(node.domain, node.opType);
    if (rule === undefined) throw obstacle(`nothing says whether ${node.opType} mixes images`);
    const outputs = node.outputs.map((value) => (value === undefined ? [] : this.#known(value).dims));
    node.inputs.forEach((value, index) => {
      if (value === undefined || !this.#counts.has(value) || rule.counts?.includes(index) === true) return;
      throw obstacle(`it computes with '${value.name}', which is of the size of the batch`);
    });
    const gives = (places: readonly (Place | undefined)[]): boolean =>
      node.outputs.every(
        (value, index) =>
          value === undefined ||
          again?.[index]?.dims.join() === withImages(outputs[index]!, places[index], manyTimes).join(),
      );
    const context: OpenContext = {
      node,
      opset: this.#model.opsets.get(node.domain) ?? 1,
      batch: this.#batch,
      isSizeFixed: this.#isSizeFixed,
      inputs: node.inputs.map((value) => (value === undefined ? undefined : this.#operand(value))),
      outputs,
      gives,
    };
    const opened = rule.open(context);
    if (opened.edit === undefined && !gives(opened.places)) throw obstacle('it does not take another batch');
    return opened;
  }

  #operand(value: Value): Operand {
    const { dims, constant } = this.#known(value);
    const place = this.places.get(value);
    const isFixed = place === undefined && !this.#counts.has(value);
    return { value, dims, place, constant: isFixed ? constant : undefined };
  }
}
