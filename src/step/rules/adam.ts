import { moments } from './moments.js';
import { decayed, type UpdateRule } from './rule.js';

/** Kingma and Ba, arXiv 1412.6980; weight decay is added to the gradient. */
export const adam: UpdateRule = {
  buffers: () => ['first', 'second'],
  emit: (context) => moments(context, decayed(context), context.weights),
};
