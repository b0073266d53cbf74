import type { MeasuredAgreement } from './agreement.js';

/** Below, or above, the conversion is called poor. */
const poor = { top1: 0.9, kl: 0.1, relativeError: 0.3 };

export interface AdviceFacts {
  /** The file that was converted, and the written one. */
  readonly input: string;
  readonly output: string;
  /** The option that keeps more where its number is larger, such as `--macs-budget`; undefined where there is none. */
  readonly sizeOption?: string | undefined;
}

/** What to do about a conversion that changed the outputs much, in one line; null where it did not. */
export function adviceFor(agreement: MeasuredAgreement, { input, output, sizeOption }: AdviceFacts): string | null {
  if (!isPoor(agreement)) return null;
  const ways = [
    ...(agreement.data === 'synthetic' ? ['calibrate on real pictures (--calibrate photos)'] : []),
    ...(sizeOption === undefined ? [] : [`keep more (a larger ${sizeOption})`]),
    `train it towards the original (\`lowrank train ${output} --teacher ${input} --data photos\`)`,
  ];
  const last = ways.at(-1)!;
  return `the outputs changed much: ${ways.length === 1 ? last : `${ways.slice(0, -1).join(', ')} or ${last}`}`;
}

function isPoor({ top1, kl, outputs }: MeasuredAgreement): boolean {
  if (top1 !== null && top1.share < poor.top1) return true;
  if (kl !== null) return kl.mean > poor.kl;
  return top1 === null && outputs.some(({ relativeError }) => relativeError > poor.relativeError);
}
