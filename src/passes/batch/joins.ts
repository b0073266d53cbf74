import { normalizeAxis } from '../../ops/support/layout.js';
import { allEdits, gatherInBlocks, giveNumbers, repeatForImages } from './edits.js';
import { isSamePlace, movedTo } from './place.js';
import {
  allAt,
  obstacle,
  type OpenContext,
  type Opened,
  type OpenRule,
  type Operand,
  numbersOf,
  operand,
  placeOf,
  requireShared,
} from './rule.js';

/** Beside each other along another axis; what is the same for all images is repeated for each. */
export const concat: OpenRule = {
  open: (context) => {
    const { node, inputs } = context;
    const given = inputs.filter((input) => input !== undefined);
    const like = given.find(({ place }) => place !== undefined)!;
    const place = like.place!;
    if (normalizeAxis(node.int('axis', 0), like.dims.length) === place.axis) throw obstacle('it joins along the batch');
    const edits = given.flatMap((input, index) => {
      if (input.place !== undefined && isSamePlace(input.place, place)) return [];
      if (input.place !== undefined) throw obstacle('its inputs hold the images at different axes');
      return [repeatForImages(node, index, input, place.axis, like)];
    });
    return { places: [place], edit: allEdits(edits) };
  },
};

/** "To the end", as every version reads it. */
const toTheEnd = 2 ** 31 - 1;

/** Of the batch, all. */
export const slice: OpenRule = {
  counts: [2],
  open: (context) => {
    const { node, opset } = context;
    const { dims } = operand(context, 0);
    const place = placeOf(context, 0);
    const opened = allAt(context, place);
    if (opset < 10) {
      if (context.outputs[0]![place.axis] !== dims[place.axis]) throw obstacle('it takes some images');
      if (!context.gives(opened.places)) throw obstacle('it takes images up to a number');
      return opened;
    }
    const starts = numbersOf(context, 1);
    const axes = context.inputs[3] === undefined ? starts.map((_, i) => i) : numbersOf(context, 3);
    const at = axes.findIndex((axis) => normalizeAxis(axis, dims.length) === place.axis);
    if (at < 0) return opened;
    const step = context.inputs[4] === undefined ? 1 : numbersOf(context, 4)[at];
    if (starts[at] !== 0 || step !== 1 || context.outputs[0]![place.axis] !== dims[place.axis]) {
      throw obstacle('it takes some images');
    }
    if (context.gives(opened.places)) return opened;
    return { ...opened, edit: giveNumbers(node, 2, numbersOf(context, 2).with(at, toTheEnd)) };
  },
};

export const split: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    if (normalizeAxis(context.node.int('axis', 0), operand(context, 0).dims.length) === place.axis) {
      throw obstacle('it splits the batch');
    }
    return allAt(context, place);
  },
};

/** Along the axis that holds the images: of a model of one image, the indices are of what each has there. */
function gatherWithin({ node, batch, isSizeFixed, outputs }: OpenContext, data: Operand): Opened {
  const { axis, outer, inner } = data.place!;
  const [dims] = outputs;
  const [first] = dims!;
  if (batch !== 1 || axis !== 0 || outer !== 1 || first === undefined || !isSizeFixed) {
    throw obstacle('it takes some images');
  }
  const blocks = [-1, inner, ...data.dims.slice(1)];
  return { places: [{ axis: 0, outer: 1, inner: first }], edit: gatherInBlocks(node, blocks, [-1, ...dims!.slice(1)]) };
}

/** The same of each image, or something of a table for each. */
export const gather: OpenRule = {
  open: (context) => {
    const [data, indices] = [operand(context, 0), operand(context, 1)];
    const axis = normalizeAxis(context.node.int('axis', 0), data.dims.length);
    if (data.place === undefined) return allAt(context, movedTo(indices.place!, axis + indices.place!.axis));
    if (indices.place !== undefined) throw obstacle('data and indices differ from image to image');
    const { place } = data;
    if (axis === place.axis) return gatherWithin(context, data);
    return allAt(context, axis > place.axis ? place : movedTo(place, place.axis + indices.dims.length - 1));
  },
};

export const gatherND: OpenRule = {
  open: (context) => {
    const [data, indices] = [operand(context, 0), operand(context, 1)];
    const batchDims = context.node.int('batch_dims', 0);
    const named = indices.dims.at(-1)!;
    const last = indices.dims.length - 1;
    if (data.place !== undefined && indices.place !== undefined) {
      if (isSamePlace(data.place, indices.place) && data.place.axis < batchDims) return allAt(context, data.place);
    } else if (data.place !== undefined) {
      const { axis } = data.place;
      if (axis >= batchDims + named) return allAt(context, movedTo(data.place, axis - batchDims - named + last));
    } else if (indices.place!.axis >= batchDims && indices.place!.axis < last) return allAt(context, indices.place!);
    throw obstacle('it takes elements across images');
  },
};

export const gatherElements: OpenRule = {
  open: (context) => {
    const [data, indices] = [placeOf(context, 0), placeOf(context, 1)];
    const isAlong = normalizeAxis(context.node.int('axis', 0), operand(context, 0).dims.length) === data.axis;
    if (isAlong || !isSamePlace(data, indices)) throw obstacle('it takes elements across images');
    return allAt(context, data);
  },
};

/** Not along the batch. */
export const tile: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    requireShared(context, 1);
    if (numbersOf(context, 1)[place.axis] !== 1) throw obstacle('it repeats images');
    return allAt(context, place);
  },
};
