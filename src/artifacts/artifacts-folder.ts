import { join, resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import { readRegularText, unusable } from '../files/regular.js';
import { tieNames, type TieName } from '../passes/untie.js';
import type { Preparation } from '../contracts/images.js';
import { type Shaped, isShaped } from '../step/flat.js';
import type { ArtifactsManifest } from '../contracts/artifacts.js';
import { artifactFiles } from '../step/manifest.js';

/** What a folder of artifacts says of the model that is trained with them. */
export interface ArtifactsOrigin {
  readonly modelPath: string;
  readonly sha256: string;
  readonly parameters: readonly Shaped[];
  readonly statistics: readonly Shaped[];
  /** null where the model is no classifier. */
  readonly classes: number | null;
  readonly tie: TieName;
  readonly preparation: Preparation | null;
  readonly classNames: ArtifactsManifest['classNames'];
  /** Where ranks of layers are found: the shape of one image. */
  readonly found: { readonly imageShape: readonly number[] } | undefined;
}

/** Reads the manifest of a folder of artifacts. Throws INPUT where there is none, FORMAT where it is damaged. */
export function readOrigin(folder: string): ArtifactsOrigin {
  const path = join(folder, artifactFiles.manifest);
  const broken = (fact: string): LowrankError =>
    new LowrankError('FORMAT', fact, { place: path, remedy: 'write the artifacts again' });
  let manifest: unknown;
  try {
    manifest = JSON.parse(readRegularText(path));
  } catch (error) {
    if (error instanceof LowrankError) throw unusable(error, 'the folder holds no training artifacts');
    throw broken('the manifest is no JSON');
  }
  const { schema, model, parameters, statistics, classes, settings, preparation, classNames, adaptation, imageShape } =
    asObject(manifest);
  if (schema !== 'lowrank.artifacts/1') throw broken(`the manifest is not of schema lowrank.artifacts/1`);
  const { path: relative, sha256 } = asObject(model);
  const { tie } = asObject(settings);
  if (!areShaped(parameters) || !areShaped(statistics)) throw broken('the manifest does not list the trained tensors');
  if (typeof sha256 !== 'string' || (typeof classes !== 'number' && classes !== null))
    throw broken('the manifest does not say which model it is of');
  if (typeof relative !== 'string') {
    throw new LowrankError('INPUT', 'the manifest does not say where the model is', {
      place: path,
      remedy: 'name the model in place of the folder',
    });
  }
  const imageShapeOf = (shape: unknown): readonly number[] => {
    if (isShaped({ name: '', shape })) return shape as readonly number[];
    throw broken('the manifest does not say the shape of images');
  };
  return {
    modelPath: resolve(folder, relative),
    sha256,
    parameters,
    statistics,
    classes,
    tie: tieNames.find((name) => name === tie) ?? 'auto',
    preparation: (preparation ?? null) as Preparation | null,
    classNames: (classNames ?? null) as ArtifactsManifest['classNames'],
    found: adaptation === undefined ? undefined : { imageShape: imageShapeOf(imageShape) },
  };
}

function areShaped(value: unknown): value is readonly Shaped[] {
  return Array.isArray(value) && value.every(isShaped);
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
