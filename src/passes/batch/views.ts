import { normalizeAxes, permutation } from '../../ops/support/layout.js';
import { becomeReshape, giveNumbers } from './edits.js';
import { isSamePlace, movedTo, type Place, placesBehind } from './place.js';
import { type Edit, allAt, obstacle, type OpenContext, type OpenRule, numbersOf, operand, placeOf } from './rule.js';

/** The target of a Reshape that gives `dims` with the images at `place` for every batch. */
function openTarget(context: OpenContext, place: Place): Edit {
  const { node, isSizeFixed } = context;
  const target = operand(context, 1).constant;
  const dims = context.outputs[0]!;
  if (isSizeFixed) return giveNumbers(node, 1, dims.with(place.axis, -1));
  if (target === undefined) throw obstacle(`'${node.inputs[1]!.name}' is computed at run time`);
  if (target.every((dim, axis) => dim > 0 || axis === place.axis))
    return giveNumbers(node, 1, target.with(place.axis, -1));
  const isKept = isSamePlace(placeOf(context, 0), place) && node.int('allowzero', 0) === 0;
  if (!isKept) throw obstacle('the size of an image is open too');
  return giveNumbers(node, 1, target.with(place.axis, 0));
}

export const reshape: OpenRule = {
  counts: [1],
  open: (context) => {
    const x = operand(context, 0);
    const [dims] = context.outputs;
    const places = placesBehind(x.dims, placeOf(context, 0), dims!, context.batch);
    const isComputed = operand(context, 1).constant === undefined;
    const place = (isComputed ? places.find((one) => context.gives([one])) : undefined) ?? places[0];
    if (place === undefined) throw obstacle(`[${x.dims.join(', ')}] as [${dims!.join(', ')}] mixes images`);
    return { places: [place], edit: context.gives([place]) ? undefined : openTarget(context, place) };
  },
};

export const flatten: OpenRule = {
  open: (context) => {
    const places = placesBehind(operand(context, 0).dims, placeOf(context, 0), context.outputs[0]!, context.batch);
    const place = places.find((one) => context.gives([one]));
    if (place === undefined) throw obstacle('it flattens images into one');
    return { places: [place] };
  },
};

export const transpose: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const order = permutation(context.node.ints('perm'), operand(context, 0).dims.length);
    return allAt(context, movedTo(place, order.indexOf(place.axis)));
  },
};

/** Axes of Squeeze and Unsqueeze: an attribute up to ai.onnx 12, then an input. */
function givenAxes(context: OpenContext): readonly number[] | undefined {
  return context.node.ints('axes') ?? (context.inputs[1] === undefined ? undefined : numbersOf(context, 1));
}

/** Where the axis of one image goes, its elements are put into the next axis. */
export const squeeze: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const { dims } = operand(context, 0);
    const axes = givenAxes(context);
    const gone =
      axes === undefined ? dims.flatMap((dim, i) => (dim === 1 ? [i] : [])) : normalizeAxes(axes, dims.length);
    if (axes === undefined || gone.includes(place.axis)) {
      const [next] = placesBehind(dims, place, context.outputs[0]!, context.batch);
      if (next === undefined || !context.isSizeFixed) throw obstacle('it takes the axis of the batch away');
      return { places: [next], edit: becomeReshape(context.node, context.outputs[0]!.with(next.axis, -1)) };
    }
    return allAt(context, movedTo(place, place.axis - gone.filter((axis) => axis < place.axis).length));
  },
};

export const unsqueeze: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const rank = context.outputs[0]!.length;
    const added = new Set(normalizeAxes(givenAxes(context) ?? [], rank));
    const old = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !added.has(axis));
    return allAt(context, movedTo(place, old[place.axis]!));
  },
};

/** Broadcast to a shape, in which a 1 leaves an axis as it is. */
export const expand: OpenRule = {
  counts: [1],
  open: (context) => {
    const { node, batch } = context;
    const x = operand(context, 0);
    const dims = context.outputs[0]!;
    const ofImages = x.place;
    if (ofImages === undefined) {
      // The target is of the size of the batch.
      const places = dims.map((dim, axis): Place => ({ axis, outer: 1, inner: dim / batch }));
      const place = places.find((one) => Number.isInteger(one.inner) && context.gives([one]));
      if (place === undefined) throw obstacle('it repeats what is the same for all images in more ways than one');
      return { places: [place] };
    }
    const offset = dims.length - x.dims.length;
    const place = movedTo(ofImages, ofImages.axis + offset);
    if (dims[place.axis] !== x.dims[ofImages.axis]) throw obstacle('it repeats images');
    if (context.gives([place])) return { places: [place] };
    const target = numbersOf(context, 1);
    const at = place.axis - (dims.length - target.length);
    if (at < 0) throw obstacle('its shape leaves the batch out');
    return { places: [place], edit: giveNumbers(node, 1, target.with(at, 1)) };
  },
};

/** Equal elements, of a shape that is of the size of the batch. */
export const filled: OpenRule = { counts: [0], open: (context) => expand.open(context) };
