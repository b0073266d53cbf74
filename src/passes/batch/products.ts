import { broadcastPlace } from './element-wise.js';
import { firstAxis, isSamePlace, movedTo } from './place.js';
import {
  allAt,
  alongFirst,
  obstacle,
  type OpenContext,
  type OpenRule,
  operand,
  placeOf,
  requireShared,
} from './rule.js';

const summed = (): Error => obstacle('it sums over the batch');

/** The images are rows of a, columns of b (input `second`), or matrices of their own. */
export const matMul = (second = 1): OpenRule => ({
  open: (context) => {
    const [a, b] = [operand(context, 0), operand(context, second)];
    const rank = Math.max(a.dims.length, b.dims.length);
    if (a.dims.length < 2 || b.dims.length < 2) throw obstacle('one factor is a vector');
    const rows = a.place?.axis === a.dims.length - 2;
    const columns = b.place?.axis === b.dims.length - 1;
    if (a.place?.axis === a.dims.length - 1 || b.place?.axis === b.dims.length - 2) throw summed();
    if (rows && b.place === undefined) return allAt(context, movedTo(a.place, rank - 2));
    if (columns && a.place === undefined) return allAt(context, movedTo(b.place, rank - 1));
    if (rows || columns) throw obstacle('each image meets every other');
    return allAt(context, broadcastPlace([a, b], rank));
  },
});

/** The images are rows of A. */
export const gemm: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const isTransposed = context.node.int('transA', 0) !== 0;
    if (place.axis !== (isTransposed ? 1 : 0)) throw summed();
    if (operand(context, 1).place !== undefined) throw obstacle('both factors differ from image to image');
    const rows = movedTo(place, 0);
    const added = context.inputs[2];
    if (added?.place !== undefined && !(added.dims.length === 2 && isSamePlace(added.place, rows))) {
      throw obstacle(`'${added.value.name}' holds the images at another axis`);
    }
    if (added !== undefined && added.place === undefined && added.dims.length === 2 && added.dims[0] !== 1) {
      throw obstacle(`'${added.value.name}' has ${added.dims[0]} elements along the batch`);
    }
    return allAt(context, rows);
  },
};

/** com.microsoft's QGemm: A with its scale and zero point, B with theirs. */
export const quantizedGemm: OpenRule = {
  open: (context) => {
    if (context.node.int('transA', 0) !== 0) throw obstacle('A is transposed');
    return alongFirst(context);
  },
};

/** The label of the batch is the same in all that holds it, and in the result. */
export const einsum: OpenRule = {
  open: (context) => {
    const equation = context.node.string('equation', '').replaceAll(' ', '');
    const [left = '', right] = equation.split('->');
    const terms = left.split(',');
    if (right === undefined || equation.includes('.')) throw obstacle(`'${equation}' leaves axes open`);
    const held = context.inputs.flatMap((input, i) =>
      input?.place === undefined ? [] : [{ place: input.place, label: terms[i]?.[input.place.axis] ?? '' }],
    );
    const [first] = held;
    if (first === undefined) throw obstacle('no input holds the images');
    const { label, place } = first;
    const isOne = held.every(
      (other) => other.label === label && isSamePlace(other.place, movedTo(place, other.place.axis)),
    );
    if (!isOne) throw obstacle('its inputs hold the images at different labels');
    const isElsewhere = context.inputs.some(
      (input, i) => input?.place === undefined && terms[i]?.includes(label) === true,
    );
    const isTwice = [...terms, right].some((term) => term.split(label).length > 2);
    if (isElsewhere || isTwice) throw obstacle(`label '${label}' of the batch meets others`);
    if (!right.includes(label)) throw summed();
    return allAt(context, movedTo(place, right.indexOf(label)));
  },
};

/** Attention (ai.onnx 23): q, k and v hold the images first; a mask may be the same for all. */
export const attention: OpenRule = {
  open: (context) => {
    for (const index of [0, 1, 2]) {
      if (!isSamePlace(placeOf(context, index), firstAxis))
        throw obstacle('the batch is not the first axis of q, k and v');
    }
    const mask = context.inputs[3];
    if (mask !== undefined && (mask.place !== undefined || (mask.dims.length === 4 && mask.dims[0] !== 1))) {
      throw obstacle(`the mask '${mask.value.name}' differs from image to image`);
    }
    if (context.outputs.length > 1) throw obstacle('it gives keys and values on');
    requireShared(context, 4);
    return { places: [firstAxis] };
  },
};

/** What is masked holds the images first, what is added to the scores may be the same for all; nothing past is given. */
function requireOwnMask(context: OpenContext, mask: number, added: number): void {
  if (context.inputs[mask] !== undefined && !isSamePlace(placeOf(context, mask), firstAxis)) {
    throw obstacle('the batch is not the first axis of its mask');
  }
  const bias = context.inputs[added];
  const isShared = bias === undefined || (bias.place === undefined && bias.dims[0] === 1);
  if (!isShared) throw obstacle(`'${bias.value.name}', added to the scores, differs from image to image`);
  if (context.outputs.length > 1) throw obstacle('it gives keys and values on');
}

/** com.microsoft's Attention: x holds the images first. */
export const fusedAttention: OpenRule = {
  open: (context) => {
    if (!isSamePlace(placeOf(context, 0), firstAxis)) throw obstacle('the batch is not the first axis of its input');
    if ([1, 2, 4].some((index) => context.inputs[index]?.place !== undefined)) {
      throw obstacle('its weights, or what is past, differ from image to image');
    }
    requireOwnMask(context, 3, 5);
    return { places: [firstAxis] };
  },
};

/** com.microsoft's MultiHeadAttention: q, k and v hold the images first. */
export const multiHeadAttention: OpenRule = {
  open: (context) => {
    for (const index of [0, 1, 2]) {
      if (!isSamePlace(placeOf(context, index), firstAxis))
        throw obstacle('the batch is not the first axis of q, k and v');
    }
    requireShared({ ...context, inputs: [context.inputs[3], ...context.inputs.slice(6)] }, 0);
    requireOwnMask(context, 4, 5);
    return { places: [firstAxis] };
  },
};
