import packageJson from '../package.json' with { type: 'json' };

export const tool = { name: 'lowrank', version: packageJson.version } as const;
