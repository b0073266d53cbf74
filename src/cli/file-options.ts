/** Where the tensors of a written model go: the same options in `convert` and `merge`. */
export const fileOptions = {
  singleFile: {
    type: 'boolean',
    default: false,
    description: 'one file, or none where it would pass 2 GiB (default: one file below that)',
  },
  externalData: {
    type: 'boolean',
    default: false,
    description: 'tensors in a file of their own, <output>.data',
  },
} as const;
