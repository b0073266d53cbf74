import type { Driver } from '../../src/index.js';
import type { Picture } from './pictures.js';

/** Whether a model classifies each picture rightly. */
export async function judge(
  driver: Driver,
  model: string,
  inputs: readonly Float32Array[],
  list: readonly Picture[],
  side: number,
): Promise<readonly boolean[]> {
  const session = await driver.createSession(model);
  const [input] = session.inputs;
  const right: boolean[] = [];
  for (const [index, data] of inputs.entries()) {
    const outputs = await session.run({ [input!.name]: { type: 'float32', dims: [1, 3, side, side], data } });
    const logits = Object.values(outputs)[0]!.data as Float32Array;
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
    right.push(best === list[index]!.label);
  }
  await session.close();
  return right;
}
