import { isSamePlace, movedTo, type Place } from './place.js';
import { allAt, obstacle, type OpenRule, type Operand, operand, placeOf } from './rule.js';

/**
 * Where the batch lies in what `operands` are broadcast to, of `rank` axes. Throws an obstacle where they hold it at
 * different places, or one that is the same for all images has elements of its own along it.
 */
export function broadcastPlace(operands: readonly (Operand | undefined)[], rank: number): Place {
  const given = operands.filter((value) => value !== undefined);
  const places = given.flatMap(({ place, dims }) =>
    place === undefined ? [] : [movedTo(place, place.axis + rank - dims.length)],
  );
  const [place] = places;
  if (place === undefined) throw obstacle('no input holds the images');
  if (!places.every((other) => isSamePlace(place, other)))
    throw obstacle('its inputs hold the images at different axes');
  for (const { value, dims, place: own } of given) {
    const size = dims[place.axis - (rank - dims.length)] ?? 1;
    if (own === undefined && size !== 1) throw obstacle(`'${value.name}' has ${size} elements along the batch`);
  }
  return place;
}

/** f of elements that lie at the same place. */
export const elementWise: OpenRule = {
  open: (context) => allAt(context, broadcastPlace(context.inputs, context.outputs[0]!.length)),
};

/** f of the elements of input 0; others say how. */
export const ofFirst: OpenRule = { open: (context) => allAt(context, placeOf(context, 0)) };

/** The scale is one number, or one for each index of another axis. */
export const quantized: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const { dims } = operand(context, 0);
    const axis = context.node.int('axis', 1);
    const isOne = operand(context, 1).dims.every((dim) => dim === 1);
    if (!isOne && (axis < 0 ? axis + dims.length : axis) === place.axis) throw obstacle('it scales along the batch');
    return allAt(context, place);
  },
};
