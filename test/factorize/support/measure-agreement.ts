import { type AgreementContext, type Judged, openJudge } from '../../../src/convert/agreement.js';
import type { CalibrationImages } from '../../../src/factorize/calibration/types.js';

/** Compares one converted model. */
export async function measureAgreement(
  original: Uint8Array,
  converted: Uint8Array,
  images: CalibrationImages,
  context: AgreementContext,
): Promise<Judged> {
  const judge = await openJudge(original, images, context);
  return judge.measure(converted, undefined);
}
