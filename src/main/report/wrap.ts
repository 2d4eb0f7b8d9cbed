/** Text in a column: broken at spaces where possible, within long names where not. */

/** A first word that is shorter does not stand alone on its line. */
const SHORT = 6;

/** Lines of at most `width` characters; those after the first are indented by `hang` more. */
export function wrap(text: string, width: number, indent: number, hang: number): readonly string[] {
  const lines: string[] = [];
  const next = " ".repeat(indent + hang);
  let line = "";
  let start = " ".repeat(indent);
  const rest = text.split(" ").toReversed(); // The next word is last.
  for (let word = rest.pop(); word !== undefined;) {
    const room = width - start.length - (line === "" ? 0 : line.length + 1);
    if (word.length <= room) {
      line = line === "" ? word : `${line} ${word}`;
      word = rest.pop();
      continue;
    }
    if (line.length >= SHORT || (line !== "" && room < SHORT && (room < 1 || word.length <= width - next.length))) {
      lines.push(start + line);
    } else {
      const cut = cutAt(word, Math.max(room, 1));
      lines.push(start + (line === "" ? "" : `${line} `) + word.slice(0, cut));
      word = word.slice(cut);
    }
    line = "";
    start = next;
  }
  if (line !== "" || lines.length === 0) lines.push(start + line);
  return lines;
}

/** Where a word that is too long is cut: behind a dot if there is one. */
function cutAt(word: string, room: number): number {
  const dot = word.lastIndexOf(".", room - 1);
  return dot > 0 ? dot + 1 : room;
}

/** What is no plain character reads as "?". */
export function toAscii(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}
