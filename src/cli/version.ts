import { createRequire } from 'node:module';

interface PackageJson {
  readonly version: string;
}

/** The version in package.json. */
export function version(): string {
  // The package refers to itself by name, so that the path is right from src/ and from dist/.
  const packageJson = createRequire(import.meta.url)('lowrank/package.json') as PackageJson;
  return packageJson.version;
}
