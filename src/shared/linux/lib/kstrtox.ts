/** Numbers from text, as files take them. lib/kstrtox.c. */

const EINVAL = 22;
const ERANGE = 34;

/**
 * kstrtouint() - a whole number in decimal.
 *
 * @kernel  lib/kstrtox.c
 * @returns the number, or a negative error: -EINVAL for what is none, -ERANGE if it does not fit 32 bits. One line end may
 *          follow; a plus may come first.
 * @context Any
 */
export function kstrtouint(text: string): number {
  if (!/^\+?\d+\n?$/.test(text)) return -EINVAL;
  const value = Number(text);
  return value <= 0xffffffff ? value : -ERANGE;
}
