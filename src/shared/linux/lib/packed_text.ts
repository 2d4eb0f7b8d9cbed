/**
 * Short ASCII texts in arrays of words, zero-padded.
 *
 *   poke_text, peek_text    no steps: names in structs, written before others can see them, and constant from then on
 *   write_text, read_text   a step for each word: texts that have one owner at a time
 */
import type { Memory } from "../../mem/memory.ts";
import { type Access, type ArrayField, element, type Ptr } from "../../mem/struct.ts";

/** Writes the first `bytes` characters of `text`. @context Any */
export function poke_text<S extends string>(
  mem: Memory,
  p: Ptr<S>,
  field: ArrayField<NoInfer<S>, Access, number>,
  bytes: number,
  text: string,
): void {
  for (let word = 0; word < bytes / 4; word++) mem.poke(p, element(field, word), packed(text, word));
}
/** The text that poke_text() wrote. @context Any */
export function peek_text<S extends string>(
  mem: Memory,
  p: Ptr<S>,
  field: ArrayField<NoInfer<S>, Access, number>,
  bytes: number,
): string {
  return unpacked(bytes, (word) => mem.peek(p, element(field, word)));
}

/** Writes the first `bytes` characters of `text`. @context Any, the owner */
export function write_text<S extends string>(
  mem: Memory,
  p: Ptr<S>,
  field: ArrayField<NoInfer<S>, "plain", number>,
  bytes: number,
  text: string,
): void {
  for (let word = 0; word < bytes / 4; word++) mem.write(p, element(field, word), packed(text, word));
}
/** The text that write_text() wrote. @context Any, the owner */
export function read_text<S extends string>(
  mem: Memory,
  p: Ptr<S>,
  field: ArrayField<NoInfer<S>, "plain", number>,
  bytes: number,
): string {
  return unpacked(bytes, (word) => mem.read(p, element(field, word)));
}

function packed(text: string, word: number): number {
  let value = 0;
  for (let byte = 0; byte < 4; byte++) value |= (text.charCodeAt(4 * word + byte) & 0x7f) << (8 * byte);
  return value;
}
function unpacked(bytes: number, wordAt: (word: number) => number): string {
  let text = "";
  for (let word = 0; word < bytes / 4; word++) {
    const value = wordAt(word);
    for (let byte = 0; byte < 4; byte++) {
      const code = (value >> (8 * byte)) & 0x7f;
      if (code === 0) return text;
      text += String.fromCharCode(code);
    }
  }
  return text;
}
