import { normalizeAxes } from '../../ops/support/layout.js';
import { allEdits, giveSizes, repeatForImages } from './edits.js';
import { firstAxis, isSamePlace } from './place.js';
import { allAt, alongFirst, obstacle, type OpenRule, numbersOf, operand, placeOf } from './rule.js';

/** Images or rows one by one along the first axis; other inputs are the same for all. */
export const perImage: OpenRule = { open: alongFirst };

/** Max pooling; its indices count through the whole batch. */
export const maxPool: OpenRule = {
  open: (context) => {
    if (context.outputs.length > 1) throw obstacle('its indices count through the whole batch');
    return alongFirst(context);
  },
};

/** In inference form. */
export const batchNormalization: OpenRule = {
  open: (context) => {
    if (context.node.int('training_mode', 0) !== 0 || context.outputs.length > 1)
      throw obstacle('it is in training form');
    if (context.node.int('spatial', 1) === 0) throw obstacle('it normalizes every element on its own (spatial = 0)');
    return alongFirst(context);
  },
};

/** Images and where they are looked at; one grid may serve all. */
export const gridSample: OpenRule = {
  open: (context) => {
    const [x, grid] = [operand(context, 0), operand(context, 1)];
    for (const { place } of [x, grid]) {
      if (place !== undefined && !isSamePlace(place, firstAxis)) throw obstacle('the batch is not the first axis');
    }
    if (x.place === undefined) return { places: [firstAxis], edit: repeatForImages(context.node, 0, x, 0, grid) };
    return {
      places: [firstAxis],
      edit: grid.place === undefined ? repeatForImages(context.node, 1, grid, 0, x) : undefined,
    };
  },
};

/** The axis of the batch keeps its size. */
export const resize: OpenRule = {
  counts: [2, 3],
  open: (context) => {
    const { node, opset } = context;
    const x = operand(context, 0);
    const place = placeOf(context, 0);
    if (node.string('coordinate_transformation_mode', '') === 'tf_crop_and_resize') {
      throw obstacle('it crops by a region of interest');
    }
    if (context.outputs[0]![place.axis] !== x.dims[place.axis]) throw obstacle('it resizes the batch');
    const opened = allAt(context, place);
    const sizes = opset < 11 ? undefined : context.inputs[3];
    const hasSizes = sizes !== undefined && sizes.dims[0] !== 0;
    const axes = normalizeAxes(node.ints('axes') ?? x.dims.map((_, i) => i), x.dims.length);
    const at = axes.indexOf(place.axis);
    if (!hasSizes) {
      const scales = node.floats('scales') ?? numbersOf(context, opset < 11 ? 1 : 2);
      if (at >= 0 && scales[at] !== 1) throw obstacle('it resizes the batch');
      return opened;
    }
    if (node.string('keep_aspect_ratio_policy', 'stretch') !== 'stretch') throw obstacle('it keeps an aspect ratio');
    if (at < 0 || context.gives(opened.places)) return opened;
    return { ...opened, edit: allEdits([giveSizes(node, 3, numbersOf(context, 3), at, x)]) };
  },
};

/** Nothing is put beside the images. */
export const pad: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const rank = operand(context, 0).dims.length;
    const pads = context.node.ints('pads') ?? numbersOf(context, 1);
    const axes =
      context.inputs[3] === undefined
        ? Array.from({ length: rank }, (_, i) => i)
        : normalizeAxes(numbersOf(context, 3), rank);
    const at = axes.indexOf(place.axis);
    if (at >= 0 && (pads[at] !== 0 || pads[at + axes.length] !== 0)) throw obstacle('it pads the batch');
    return allAt(context, place);
  },
};
