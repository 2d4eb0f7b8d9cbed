/** What follows from the code alone, and takes long to find out: remembered by a key. No state of a machine is in here. */

/** More than the code has places to call from; no limit would be a leak if keys were no keys. */
const MOST = 4096;
const texts = new Map<string, readonly string[]>();

/** The lines for this key. @param make  finds them out, the first time. */
export function remembered(key: string, make: () => readonly string[]): readonly string[] {
  const known = texts.get(key);
  if (known !== undefined) return known;
  const lines = make();
  if (texts.size === MOST) texts.clear();
  texts.set(key, lines);
  return lines;
}
