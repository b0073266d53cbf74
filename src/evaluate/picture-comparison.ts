import { LowrankError } from '../errors.js';
import type { AgreementReport } from '../contracts/agreement.js';
import type { Value } from '../graph/value.js';
import type { ImageInput } from '../images/image-input.js';
import { isFloatType } from '../onnx/data-type.js';
import type { EndKind } from '../passes/classifier-end.js';
import { toNumbers } from '../rewrite/samples.js';
import type { RuntimeTensor } from '../runtime/types.js';
import { tallyClasses } from './class-tally.js';
import type { MatchModel } from './match-model.js';
import { type OutputTally, tallyOutput } from './output-tally.js';
import { isOfClasses } from './output-types.js';
import type { OutputPair } from './paired-outputs.js';
import { meanOverPictures } from './picture-mean.js';

type Picture = ReadonlyMap<string, RuntimeTensor>;

export interface PictureComparison {
  /** What both gave for the same pictures. */
  add(original: readonly Picture[], own: readonly Picture[]): void;
  /** Throws UNSUPPORTED where nothing could be compared. */
  result(): Pick<AgreementReport, 'top1' | 'kl' | 'outputs' | 'leftOut' | 'warnings'>;
}

/** Compares what two models give, picture by picture. */
export function comparePictures(
  model: MatchModel,
  original: MatchModel,
  pairs: readonly OutputPair[],
): PictureComparison {
  const paths = { original: original.path, own: model.path };
  const head = pairs.find((pair) => isFirst(pair.original, original) && isFirst(pair.own, model));
  const end = head === undefined ? undefined : original.end;
  const ownEnd = head === undefined ? undefined : model.end;
  const areClasses = end !== undefined && ownEnd !== undefined;
  // One class each, or several.
  const isOneKind = (end === 'sigmoid') === (ownEnd === 'sigmoid');
  const classes = areClasses && isOneKind ? tallyClasses(end, ownEnd) : undefined;
  const otherEnds = areClasses && end !== ownEnd ? endsText(end, ownEnd, paths) : undefined;
  const maps = classMapsOf(original, pairs);
  const tallies = new Map<OutputPair, OutputTally>();
  for (const pair of pairs) {
    if (pair === head && otherEnds !== undefined) continue;
    const { name } = pair.original;
    const mapLayout = maps.has(pair) ? original.input.layout : undefined;
    const isMapSize = (height: number, width: number): boolean => isOfPictureSize(height, width, original.input);
    tallies.set(pair, tallyOutput({ name, insteadOf: pair.insteadOf, mapLayout, isMapSize, paths }));
  }
  /** Why classes cannot be compared at all. */
  let mismatch: string | undefined;
  let areDistributions = true;

  const addClasses = (was: RuntimeTensor | undefined, is: RuntimeTensor | undefined): void => {
    const areRows = [was, is].every((tensor) => tensor !== undefined && isOfClasses([1, ...tensor.dims], 1));
    if (!areRows) mismatch ??= 'the first outputs are no classes';
    else if (was!.data.length !== is!.data.length) {
      mismatch ??= `${paths.original} tells ${was!.data.length} classes apart, ${paths.own} ${is!.data.length}`;
    } else if (!classes!.add(toNumbers(was!), toNumbers(is!), 1, was!.type)) areDistributions = false;
  };

  return {
    add(all, own) {
      for (const [index, was] of all.entries()) {
        const is = own[index]!;
        for (const [pair, tally] of tallies) tally.add(was.get(pair.original.name), is.get(pair.own.name));
        if (classes !== undefined) addClasses(was.get(head!.original.name), is.get(head!.own.name));
      }
    },
    result() {
      const leftOut = [...tallies].flatMap(([pair, { reason }]) =>
        reason === undefined ? [] : [{ name: pair.original.name, reason }],
      );
      if (otherEnds !== undefined) leftOut.unshift({ name: head!.original.name, reason: otherEnds });
      const outputs = [...tallies.values()].flatMap((tally) => (tally.reason === undefined ? [tally.result()] : []));
      const found = mismatch === undefined ? classes : undefined;
      const [first] = leftOut;
      if (outputs.length === 0 && found === undefined) {
        throw new LowrankError('UNSUPPORTED', `no output can be compared: '${first!.name}', ${first!.reason}`, {
          place: `${paths.own} and ${paths.original}`,
          remedy: 'give a model and that which it was made of',
        });
      }
      return {
        top1: found?.result().top1 ?? outputs.find(({ label }) => label !== null)?.label ?? null,
        kl: found !== undefined && areDistributions ? meanOverPictures(found.divergences) : null,
        outputs,
        leftOut,
        warnings: [
          ...(mismatch === undefined ? [] : [`classes are not compared: ${mismatch}`]),
          ...(areDistributions
            ? []
            : [
                `there is no divergence: '${head!.original.name}' is no distribution of classes on some of the pictures`,
              ]),
          ...leftOut.map(({ name, reason }) => `output '${name}' of ${paths.original} is not compared: ${reason}`),
          ...[...tallies.values()].flatMap((tally) => tally.warnings),
        ],
      };
    },
  };
}

function isFirst(value: Value, { model }: MatchModel): boolean {
  return model.graph.outputs[0] === value;
}

function endsText(end: EndKind, ownEnd: EndKind, paths: { readonly original: string; readonly own: string }): string {
  return `its numbers end as ${end} in ${paths.original} and as ${ownEnd} in ${paths.own}`;
}

/** The outputs that are maps of classes: of two channels or more, all of one size, which is near that of the pictures. */
function classMapsOf({ shapes, input }: MatchModel, pairs: readonly OutputPair[]): ReadonlySet<OutputPair> {
  const found = new Set<OutputPair>();
  const sizes = new Set<string>();
  for (const pair of pairs) {
    const type = pair.insteadOf === undefined ? shapes.typeOf(pair.original) : undefined;
    if (type?.dims.length !== 4 || !isFloatType(type.dataType)) continue;
    const [first, second, third] = type.dims.slice(1) as [number, number, number];
    const [classes, height, width] = input.layout === 'nhwc' ? [third, first, second] : [first, second, third];
    if (classes < 2 || height * width === 1) continue;
    sizes.add(`${height}x${width}`);
    if (isOfPictureSize(height, width, input)) found.add(pair);
  }
  return sizes.size === 1 ? found : new Set();
}

/** How many times smaller maps of classes are than pictures, at most. */
const mostReduced = 8;

function isOfPictureSize(height: number, width: number, input: ImageInput): boolean {
  return height * width > 1 && height * mostReduced >= input.height && width * mostReduced >= input.width;
}
