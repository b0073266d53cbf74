import { LowrankError } from '../errors.js';
import { plural } from '../report/format.js';
import type { CheckpointPosition } from '../contracts/checkpoint.js';
import type { TrainSettings } from './options.js';
import { changeText, type Difference } from './same-training.js';

/** Throws USAGE where fewer epochs are asked for than have begun. */
export function requireRoom({ epoch, batch }: CheckpointPosition, epochs: number, place: string): void {
  const begun = batch === 0 ? epoch : epoch + 1;
  if (epochs >= begun) return;
  const fact = batch === 0 ? `${epoch} are done` : `epoch ${begun} has begun`;
  throw new LowrankError('USAGE', `${plural(epochs, 'epoch')} asked for, and ${fact}`, {
    place,
    remedy: `give --epochs ${begun} or more, or begin anew from its model.onnx`,
  });
}

/** What to know of a training that goes on from a position with something that was otherwise, a line each. */
export function changeNotes(
  { epoch }: CheckpointPosition,
  differences: readonly Difference[],
  { epochs, schedule }: TrainSettings,
): readonly string[] {
  const longer = differences.find(({ key }) => key === 'epochs');
  const others = differences.filter((each) => each !== longer);
  const rate =
    schedule === 'cosine' ? `: the learning rate is from here on that of a training of ${epochs} epochs` : '';
  return [
    ...(longer === undefined || epoch >= epochs
      ? []
      : [`goes on to epoch ${epochs}, not ${String(longer.was)}${rate}`]),
    ...(others.length === 0
      ? []
      : [`goes on with ${others.map(changeText).join(', with ')}: no longer bit for bit as it would have`]),
    ...(epoch >= epochs
      ? [`all ${epochs} epochs were done before: nothing is trained; a larger --epochs goes on`]
      : []),
  ];
}
