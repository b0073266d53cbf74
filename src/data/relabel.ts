import { classIndex, type ClassList } from './class-list.js';
import type { ImageSource } from './types.js';

/**
 * The same images with their labels in another list of classes, by identifier or title; numbers are positions in it. undefined
 * where one of the classes is not in the list, or two are one there.
 */
export function relabelled(source: ImageSource, classes: ClassList): ImageSource | undefined {
  const find = classIndex(classes);
  const isNumbered = source.classes.every((id, index) => id === String(index));
  const places = source.classes.map((id, index) => {
    const place = find(id) ?? find(source.titles[index]!);
    return place ?? (isNumbered && index < classes.ids.length ? index : -1);
  });
  if (places.includes(-1) || new Set(places).size < places.length) return undefined;
  const targetsOf = ({ targets }: ImageSource): Pick<ImageSource, 'targets'> =>
    targets === undefined
      ? {}
      : {
          targets: (image) => {
            const moved = new Uint8Array(classes.ids.length);
            targets(image).forEach((is, label) => (moved[places[label]!] = is));
            return moved;
          },
        };
  return {
    ...source,
    classes: classes.ids,
    titles: classes.titles,
    hasGivenClasses: true,
    label: (image) => places[source.label(image)]!,
    ...targetsOf(source),
    read: async (image) => {
      const sample = await source.read(image);
      return { ...sample, label: places[sample.label]! };
    },
  };
}
