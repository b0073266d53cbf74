/** A point in pixels. */
export type Point = readonly [x: number, y: number];

/** Called for each row that a shape covers: pixels from `first` up to `last`, which is left out. */
export type Span = (y: number, first: number, last: number) => void;

/** The pixels of a canvas of side² whose centers lie inside a convex polygon, row by row. */
export function fillPolygon(points: readonly Point[], side: number, span: Span): void {
  let [top, bottom] = [Infinity, -Infinity];
  for (const [, y] of points) {
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  const last = Math.min(side - 1, Math.ceil(bottom - 0.5) - 1);
  for (let y = Math.max(0, Math.ceil(top - 0.5)); y <= last; y++) {
    const center = y + 0.5;
    let [left, right] = [Infinity, -Infinity];
    for (let i = 0; i < points.length; i++) {
      const [x0, y0] = points[i]!;
      const [x1, y1] = points[(i + 1) % points.length]!;
      if (y0 > center === y1 > center) continue;
      const x = x0 + ((center - y0) / (y1 - y0)) * (x1 - x0);
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
    emit(y, left, right, side, span);
  }
}

/** The same for an ellipse of half-axes a and b, turned by `angle`. */
export function fillEllipse([x, y]: Point, a: number, b: number, angle: number, side: number, span: Span): void {
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  // p·dx² + 2q·dx·dy + r·dy² ≤ 1
  const p = (cosine / a) ** 2 + (sine / b) ** 2;
  const q = cosine * sine * (1 / a ** 2 - 1 / b ** 2);
  const r = (sine / a) ** 2 + (cosine / b) ** 2;
  const reach = Math.sqrt(p / (p * r - q * q));
  const last = Math.min(side - 1, Math.ceil(y + reach - 0.5) - 1);
  for (let row = Math.max(0, Math.ceil(y - reach - 0.5)); row <= last; row++) {
    const dy = row + 0.5 - y;
    const half = Math.sqrt(Math.max(0, (q * dy) ** 2 - p * (r * dy * dy - 1))) / p;
    const middle = x - (q * dy) / p;
    emit(row, middle - half, middle + half, side, span);
  }
}

function emit(y: number, left: number, right: number, side: number, span: Span): void {
  const first = Math.max(0, Math.ceil(left - 0.5));
  const last = Math.min(side, Math.ceil(right - 0.5));
  if (first < last) span(y, first, last);
}
