/**
 * Which module a line of kernel.js comes from: in the built program the modules of the kernel lie together in that file
 * (docs/adr/0014). The build fills this table; in a source checkout it is empty, and so is its use.
 */

/** First line of each module, ascending, and its path from the program's folder: "shared/linux/mm/slub/free". */
export const JOINED: readonly (readonly [line: number, module: string])[] = [];

/** The module at a line of kernel.js; undefined: of none. */
export function moduleAtLine(line: number): string | undefined {
  let low = 0;
  for (let high = JOINED.length; low < high;) {
    const middle = (low + high) >> 1;
    if (JOINED[middle][0] <= line) low = middle + 1;
    else high = middle;
  }
  return JOINED[low - 1]?.[1];
}
