import { basename, dirname, resolve } from 'node:path';
import { architectureOf as createdOf, architectures, type CreateOptions } from '../../models/index.js';
import { LowrankError } from '../errors.js';
import type { ModelSource, StudyArchitecture } from '../study/study.js';
import type { TrainSettings } from '../training/options.js';
import { checkKeys } from './config-file.js';
import { unitsOf } from './hidden-units.js';
import { closest, type GivenValues, type OptionTable } from './options.js';
import { adaptSettings, adaptTable } from './study-recovery.js';
import { asMapping } from './study-regularizers.js';

/** What a study file may say of trainings, and what that is as settings. */
interface TrainKeys {
  readonly trainTable: OptionTable;
  settings(own: GivenValues): Partial<TrainSettings>;
}

export function usage(fact: string, place: string, remedy: string): LowrankError {
  return new LowrankError('USAGE', fact, { place, remedy });
}

/** Keys of an architecture that hold settings of its own. */
const ownMappings = { train: { type: 'list', description: '' }, adapt: { type: 'list', description: '' } } as const;
const architectureKeys: OptionTable = {
  model: { type: 'string', description: 'name of an architecture, or path of a model' },
  name: { type: 'string', description: 'what the reports call it' },
  imageSize: { type: 'integer', minimum: 1, description: 'of a created architecture' },
  hidden: { type: 'string', description: 'units of the hidden layers of mlp' },
};

/** "resnet8_cifar", "my/model.onnx", or a mapping of `model`, `name`, `image-size`, `hidden`, `train` and `adapt`. */
export function architectureOf(
  value: unknown,
  place: string,
  path: string,
  index: number,
  { settings, trainTable }: TrainKeys,
): StudyArchitecture {
  const parent = `architectures[${index}].`;
  const { train, adapt, ...mapping } = typeof value === 'string' ? { model: value } : asMapping(value, place);
  const given = checkKeys(mapping, { ...architectureKeys, ...ownMappings }, path, { parent });
  const model = given['model'] as string | undefined;
  if (model === undefined) throw usage("an architecture has no 'model'", place, 'give a name or the path of a model');
  const { imageSize, hidden } = given as { readonly imageSize?: number; readonly hidden?: string };
  const source = sourceOf(model, { imageSize, hidden: unitsOf(hidden) }, place, path);
  const ownOf = (value: unknown, key: string, table: OptionTable): GivenValues =>
    checkKeys(value == null ? {} : asMapping(value, `key '${parent}${key}' in ${path}`), table, path, {
      parent: `${parent}${key}.`,
    });
  return {
    name: (given['name'] as string | undefined) ?? (source.kind === 'file' ? basename(model, '.onnx') : model),
    source,
    train: settings(ownOf(train, 'train', trainTable)),
    ...(adapt == null ? {} : { adapt: adaptSettings(ownOf(adapt, 'adapt', adaptTable)) }),
  };
}

function sourceOf(
  model: string,
  { imageSize, hidden }: Pick<CreateOptions, 'imageSize' | 'hidden'>,
  place: string,
  path: string,
): ModelSource {
  if (model.endsWith('.onnx') || model.includes('/')) {
    if (hidden !== undefined) {
      throw usage('hidden belongs to architectures that are created', place, 'leave it out for a model file');
    }
    if (imageSize === undefined) return { kind: 'file', path: resolve(dirname(path), model) };
    throw usage('image-size belongs to architectures that are created', place, 'set train.image-size for a model file');
  }
  const created = createdOf(model);
  if (created !== undefined) {
    if (hidden !== undefined && created.hidden === undefined) {
      throw usage(
        `the hidden layers of ${created.name} are as published`,
        place,
        'leave hidden out; it belongs to mlp',
      );
    }
    return { kind: 'created', architecture: created.name, imageSize, ...(hidden === undefined ? {} : { hidden }) };
  }
  const names = architectures.map(({ name }) => name);
  const close = closest(model, names);
  const hint = close === undefined ? '' : `did you mean '${close}'? `;
  throw usage(
    `there is no architecture '${model}'`,
    place,
    `${hint}choose one of \`lowrank create --list\`, or a .onnx file`,
  );
}
