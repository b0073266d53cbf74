import { normalizeAxes, normalizeAxis } from '../../ops/support/layout.js';
import { isSamePlace, movedTo, type Place } from './place.js';
import {
  allAt,
  obstacle,
  type OpenContext,
  type Opened,
  type OpenRule,
  numbersOf,
  operand,
  placeOf,
  requireShared,
} from './rule.js';

const axisOf = ({ node }: OpenContext, rank: number, fallback: number): number =>
  normalizeAxis(node.int('axis', fallback), rank);

/** Throws where `axis` is that of the batch. */
function requireOther(axis: number, place: Place): void {
  if (axis === place.axis) throw obstacle('it computes along the batch');
}

/** Along one axis, which is not that of the batch. `fallback` where no attribute says it. */
export const along = (fallback: number): OpenRule => ({
  open: (context) => {
    const place = placeOf(context, 0);
    requireOther(axisOf(context, operand(context, 0).dims.length, fallback), place);
    requireShared(context, 1);
    return allAt(context, place);
  },
});

/** Along one axis since ai.onnx 13, before over all from `axis` (1) on. */
export const softmax: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const rank = operand(context, 0).dims.length;
    const isAlong = context.opset >= 13;
    const axis = axisOf(context, rank, isAlong ? -1 : 1);
    if (isAlong) requireOther(axis, place);
    else if (place.axis >= axis) throw obstacle('it computes along the batch');
    return allAt(context, place);
  },
};

/** Over all axes from `axis` on, which are behind the batch. Inputs up to `shared` may hold images. */
export const behindAxis = (shared = 1): OpenRule => ({
  open: (context) => {
    const place = placeOf(context, 0);
    const { dims } = operand(context, 0);
    if (place.axis >= axisOf(context, dims.length, -1)) throw obstacle('it computes along the batch');
    for (const input of context.inputs.slice(1, shared)) {
      if (input?.place === undefined || input.dims.length !== dims.length || !isSamePlace(input.place, place)) {
        throw obstacle('its inputs hold the images at different axes');
      }
    }
    requireShared(context, shared);
    return allAt(context, place);
  },
});

export const cumSum: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const [axis] = numbersOf(context, 1);
    requireOther(normalizeAxis(axis ?? 0, operand(context, 0).dims.length), place);
    return allAt(context, place);
  },
};

/** Where the batch is behind axes that go, or become 1. */
function reducedPlace(context: OpenContext, gone: readonly number[], place: Place): Opened {
  if (gone.includes(place.axis)) throw obstacle('it reduces over the batch');
  const before = gone.filter((axis) => axis < place.axis).length;
  const isKept = context.node.int('keepdims', 1) !== 0;
  return allAt(context, isKept ? place : movedTo(place, place.axis - before));
}

/** Reduce*: axes are an attribute, or input 1. */
export const reduction: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const rank = operand(context, 0).dims.length;
    const given = context.node.ints('axes') ?? (context.inputs[1] === undefined ? [] : numbersOf(context, 1));
    if (given.length > 0) return reducedPlace(context, normalizeAxes(given, rank), place);
    if (context.node.int('noop_with_empty_axes', 0) !== 0) return allAt(context, place);
    throw obstacle('it reduces over the batch');
  },
};

export const argReduction: OpenRule = {
  open: (context) => reducedPlace(context, [axisOf(context, operand(context, 0).dims.length, 0)], placeOf(context, 0)),
};

export const meanVariance: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    const axes = normalizeAxes(context.node.ints('axes') ?? [0, 2, 3], operand(context, 0).dims.length);
    if (axes.includes(place.axis)) throw obstacle('it normalizes over the batch');
    return allAt(context, place);
  },
};

/** Of the last two axes. */
export const trilu: OpenRule = {
  open: (context) => {
    const place = placeOf(context, 0);
    if (place.axis >= operand(context, 0).dims.length - 2) throw obstacle('it computes along the batch');
    requireShared(context, 1);
    return allAt(context, place);
  },
};
