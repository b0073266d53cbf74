import { LowrankError } from '../errors.js';
import type { ConvertReport } from '../contracts/convert.js';
import { flagOf } from './options.js';

/** The options of `convert --accuracy-budget`. */
export function accuracyOptions<const Group extends string>(group: Group) {
  return {
    val: {
      type: 'string',
      placeholder: 'path',
      group,
      description: 'labelled images that top-1 is measured on: whatever lowrank-eval takes',
    },
    split: { type: 'string', placeholder: 'name', group, description: 'part of the data set (default: val)' },
    classes: {
      type: 'string',
      placeholder: 'file',
      group,
      description: "class list in the order of the model's outputs (text or JSON)",
    },
    valImages: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      group,
      description: 'so many images only, drawn at random (default: all)',
    },
    maxBad: {
      type: 'integer',
      minimum: 0,
      placeholder: 'n',
      group,
      description: 'images that may be bad (default: 0)',
    },
    minimize: {
      type: 'string',
      choices: ['macs', 'params'],
      group,
      description: 'what the smallest model has least of (default: macs)',
    },
    evaluations: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      group,
      description: 'conversions that may be evaluated on all images (default: 10)',
    },
    cache: {
      type: 'string',
      placeholder: 'folder',
      group,
      description: "where evaluations are kept by content, also for other runs (default: in the user's cache folder)",
    },
  } as const;
}

/** Throws USAGE where options of the accuracy budget stand without it, or it without images. */
export function checkAccuracyOptions(settings: Readonly<Record<string, unknown>>): void {
  const own = Object.keys(accuracyOptions(''));
  const alone = own.find((name) => settings[name] !== undefined && settings[name] !== false);
  if (settings['accuracyBudget'] === undefined && alone !== undefined) {
    throw new LowrankError('USAGE', `${flagOf(alone)} does nothing without --accuracy-budget`, {
      remedy: 'give --accuracy-budget and the points of top-1 that may be lost, or leave it out',
    });
  }
  if (settings['accuracyBudget'] === undefined) return;
  if (settings['val'] === undefined) {
    throw new LowrankError('USAGE', '--accuracy-budget needs labelled images to measure top-1 on', {
      remedy: 'give them with --val',
    });
  }
  if (settings['reinit'] === true) {
    throw new LowrankError('USAGE', '--accuracy-budget and --reinit contradict each other', {
      remedy: 'fresh weights have no accuracy to keep: choose another way to set the ranks',
    });
  }
}

/** The options of the search with the values that were in force. */
export function accuracyInForce({ accuracyBudget }: ConvertReport): Readonly<Record<string, unknown>> {
  if (accuracyBudget === undefined) return {};
  const { minimize, cache, settings } = accuracyBudget;
  const { split, limit, maxBad } = settings;
  return { minimize, cache, split, valImages: limit, maxBad };
}
