import type { ClassOrder, FactOrigin, Preparation } from '../contracts/images.js';

const origins: Readonly<Record<Exclude<FactOrigin, 'assumed'>, string>> = {
  option: 'as given',
  metadata: "from the model's metadata",
  graph: 'from its graph',
  'batch-normalization': 'from its BatchNormalization',
  arrays: 'as the arrays are',
};

const orders: Readonly<Record<ClassOrder['from'], string>> = {
  option: '--classes',
  metadata: "the model's metadata",
  images: 'the images',
};

/** How images become inputs, and who says so, in one line: what is only assumed is said. */
export function preparationText(preparation: Preparation): string {
  const { normalization, size, resize, classes, arrays } = preparation;
  const { name, mean, deviation, from } = normalization;
  const numbers = `mean ${mean.map(short).join(', ')}, std ${deviation.map(short).join(', ')}`;
  const assumed = 'only assumed: nothing in the model says; --normalization sets it';
  const ordered = classes === undefined ? [] : [`${classes.count} classes in the order of ${orders[classes.from]}`];
  if (arrays !== undefined) {
    const kind = `arrays of ${arrays.type} [${arrays.dims.join(', ')}]`;
    const scaled = arrays.type === 'uint8' ? ', from 0 to 255 as 0 to 1' : '';
    if (from === 'arrays') return [`${kind}, fed as they are (--mean and --std normalize them)`, ...ordered].join('; ');
    return [
      `${kind}${scaled}`,
      `normalization ${name ?? numbers} (${from === 'assumed' ? assumed : origins[from]})`,
      ...ordered,
    ].join('; ');
  }
  return [
    `normalization ${name ?? numbers} (${from === 'assumed' ? assumed : origins[from]})`,
    `${size.width}x${size.height} (${size.from === 'assumed' ? 'only assumed: --image-size sets it' : origins[size.from]})`,
    `${resizeText(resize)} (${resize.from === 'assumed' ? 'as usual' : origins[resize.from]})`,
    ...ordered,
  ].join('; ');
}

/** How the images of a command became inputs, whichever of them say it; nothing where none do. */
export function preparationFact(
  label: string,
  ...shown: readonly ({ readonly preparation?: Preparation } | null | undefined)[]
): readonly (readonly [string, string])[] {
  const preparation = shown.find((each) => each?.preparation !== undefined)?.preparation;
  return preparation === undefined ? [] : [[label, preparationText(preparation)]];
}

function resizeText({ rule, shorterSide, interpolation }: Preparation['resize']): string {
  const how = interpolation === 'bilinear' ? '' : `, ${interpolation}`;
  return rule === 'stretch' ? `stretched${how}` : `shorter side to ${shorterSide}, then the center${how}`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
