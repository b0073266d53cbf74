/** σ(x) = quadratic·x² + slope·x + offset up to the next break. */
export interface Piece {
  readonly quadratic: number;
  readonly slope: number;
  readonly offset: number;
}

/** A continuous function of breaks.length + 1 pieces; the breaks increase, the first piece is a straight line. */
export interface PiecewiseFunction {
  readonly breaks: readonly number[];
  readonly pieces: readonly Piece[];
}

export function valueOf({ quadratic, slope, offset }: Piece, x: number): number {
  return (quadratic * x + slope) * x + offset;
}

export function slopeOf({ quadratic, slope }: Piece, x: number): number {
  return 2 * quadratic * x + slope;
}

export function pieceAt(f: PiecewiseFunction, x: number): Piece {
  let index = 0;
  while (index < f.breaks.length && x > f.breaks[index]!) index++;
  return f.pieces[index]!;
}

/** The pieces below and above x: two only where x is a break. */
export function piecesAround(f: PiecewiseFunction, x: number): readonly [Piece, Piece] {
  const index = f.breaks.findIndex((at) => Math.abs(x - at) <= 1e-14 * Math.abs(at));
  if (index < 0) return [pieceAt(f, x), pieceAt(f, x)];
  return [f.pieces[index]!, f.pieces[index + 1]!];
}

/** How the derivatives jump at a break. */
export interface Jump {
  readonly at: number;
  /** Of σ'. */
  readonly kink: number;
  /** Of σ''. */
  readonly step: number;
}

export function jumpsOf({ breaks, pieces }: PiecewiseFunction): Jump[] {
  return breaks.map((at, j) => {
    const [before, after] = [pieces[j]!, pieces[j + 1]!];
    return { at, kink: slopeOf(after, at) - slopeOf(before, at), step: 2 * (after.quadratic - before.quadratic) };
  });
}

/** clip(slope·x + offset, min, max). As ONNX has it, `max` wins where min > max. */
export function clamp(slope: number, offset: number, min: number, max: number): PiecewiseFunction {
  const flat = (value: number): Piece => ({ quadratic: 0, slope: 0, offset: value });
  const line: Piece = { quadratic: 0, slope, offset };
  if (min >= max) return { breaks: [], pieces: [flat(max)] };
  if (slope === 0) return { breaks: [], pieces: [flat(Math.min(max, Math.max(min, offset)))] };
  const [left, right] = slope > 0 ? [min, max] : [max, min];
  const breaks: number[] = [];
  const pieces: Piece[] = [];
  if (Number.isFinite(left)) {
    pieces.push(flat(left));
    breaks.push((left - offset) / slope);
  }
  pieces.push(line);
  if (Number.isFinite(right)) {
    pieces.push(flat(right));
    breaks.push((right - offset) / slope);
  }
  return { breaks, pieces };
}
