/** What a diagram does without when it has too little room, and what it never does without. */
import { expect, test } from "vitest";
import { asciiDiagram } from "../../../src/main/report/ascii_diagram.ts";
import { columns, WIDTH } from "../../../src/main/report/columns.ts";
import { pageOf } from "../../../src/main/report/selection.ts";
import { expectInOrder } from "./in_order.ts";
import { nestedProducer, Story } from "./story.ts";

/** Rows of a diagram and the two lines with names. */
const MOST_LINES = 32;

/** A long way of CPU 0 to a race that an NMI on it decides, which CPU 1 finds; much of the way races, too. */
function longWay(): Story {
  const story = new Story(2);
  const looker = story.task(1);
  const task = story.task(0);
  story.read(looker, "look", "list", "NULL");
  for (let i = 0; i < 40; i++) story.write(task, "go", `way.step${i}`, "0", "1");
  for (let i = 0; i < 40; i++) story.read(looker, "look", `way.step${i}`, "1");
  const nmi = story.nmi(task);
  story.write(nmi, "nmi add", "list", "NULL", "things#0");
  story.end(nmi);
  story.read(task, "go", "way.end", "0");
  story.switchTo(0, 1);
  story.read(looker, "look again", "list", "things#0");
  return story;
}

test("whatever is left out, each CPU and interrupt keeps the last access that races", () => {
  const lines = asciiDiagram(longWay().trace());
  expect(lines.length).toBeLessThanOrEqual(MOST_LINES);
  const text = lines.join("\n");
  const story = [
    "look()",
    "go()",
    "way.step39 0 -> 1",
    "<NMI>",
    "list NULL -> things#0",
    "</NMI>",
    "again()",
    "= things#0",
  ];
  expectInOrder(text, story);
});

test("it is shorter than the columns, and shows nothing that they do not show", () => {
  const story = nestedProducer();
  const late = story.task(0, "op 2");
  for (let i = 0; i < 20; i++) story.write(late, "fill", `cpu0.deferred_percpu_work.w${i}`, `${i}`, `${i + 1}`);
  const trace = story.trace();
  const words = (lines: readonly string[]): readonly string[] => lines.join(" ").match(/[\w.>#&-]*\d[\w.>#&-]*/g) ?? [];
  const diagram = asciiDiagram(trace);
  const inColumns = columns(pageOf(trace), trace.names);
  expect(diagram.length).toBeLessThan(inColumns.length);
  expect(new Set(words(inColumns))).toEqual(new Set([...words(inColumns), ...words(diagram)]));
});

test("a read is left out first where the write that follows shows the same value", () => {
  const story = new Story(2);
  const [a, b] = [story.task(0), story.task(1)];
  for (let i = 0; i < 12; i++) {
    story.read(a, "one", `x${i}`, "0");
    story.write(a, "one", `x${i}`, "0", "1");
  }
  story.switchTo(0, 1);
  for (let i = 0; i < 12; i++) story.write(b, "two", `x${i}`, "1", "2");
  const lines = asciiDiagram(story.trace());
  expect(lines.filter((line) => line.includes("->"))).toHaveLength(24);
  expect(lines.filter((line) => line.includes("read")).length).toBe(4);
});

test("locks, and writes that change nothing, are left out before what an interrupt changes", () => {
  const story = new Story(2);
  const [a, b] = [story.task(0), story.task(1)];
  const lock = { field: "spinlock.val" };
  story.read(a, "f", "own", "0");
  const nmi = story.nmi(a);
  for (let i = 0; i < 4; i++) story.write(nmi, "nmi f", `cpu0.list.changed${i}`, "0", "1");
  for (let i = 0; i < 20; i++) story.write(nmi, "nmi f", `cpu0.list.empty${i}`, "0", "0");
  story.end(nmi);
  for (let i = 0; i < 10; i++) story.write(a, "f", `cpu0.list.full${i}`, "0", "1");
  story.write(a, "f", "lock", "free", "CPU 0", lock);
  story.write(b, "g", "lock", "CPU 0", "CPU 0", lock);
  for (let i = 0; i < 10; i++) story.write(b, "g", `cpu0.list.full${i}`, "1", "2");
  const text = asciiDiagram(story.trace()).join("\n");
  expect(text.match(/\d -> \d/g)).toHaveLength(24);
  expect(text).not.toContain("lock");
});

test("a column is wider than the others where only it has long lines", () => {
  const long = "a_variable.that_is_longer_than_half_of_the_width";
  const story = new Story(2);
  const [a, b] = [story.task(0), story.task(1)];
  story.read(a, "f", long, "0");
  const nmi = story.nmi(a);
  story.write(nmi, "nmi g", long, "0", "1");
  story.end(nmi);
  story.write(a, "f", "x0", "0", "1");
  story.write(b, "f", "x0", "1", "2");
  const lines = asciiDiagram(story.trace());
  expect(lines).toContain(`        ${long} 0 -> 1`);
  expect(lines.filter((line) => line.length > WIDTH)).toEqual([]);
});
