import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

const folder = 'src/contracts/schemas';
const validators = new Map<string, ValidateFunction>();

/** The published schemas, by what documents call themselves. */
export function schemaNames(): readonly string[] {
  return readdirSync(folder).map((file) => `lowrank.${file.slice(0, -'.schema.json'.length)}/1`);
}

/** What is wrong with a document; undefined where it is as published, or of no published schema. */
export function faultOf(document: unknown): string | undefined {
  const { schema } = document as { readonly schema?: unknown };
  const name = typeof schema === 'string' ? /^lowrank\.([a-z-]+)\/1$/.exec(schema)?.[1] : undefined;
  if (name === undefined || !schemaNames().includes(`lowrank.${name}/1`)) return undefined;
  let validate = validators.get(name);
  if (validate === undefined) {
    const ajv = new Ajv({ strict: false, allErrors: true });
    validate = ajv.compile(JSON.parse(readFileSync(join(folder, `${name}.schema.json`), 'utf8')) as object);
    validators.set(name, validate);
  }
  if (validate(document)) return undefined;
  const errors = (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  return `${name}: ${errors.slice(0, 5).join('; ')}`;
}
