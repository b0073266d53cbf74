/** Pictures have up to so many channels. */
export const mostChannels = 16;

/** Grey, or colors: pictures of every format are either. Those of other numbers of channels keep what they have (see `decodeBands`). */
export function areUsualChannels(channels: number): boolean {
  return channels === 1 || channels === 3;
}
