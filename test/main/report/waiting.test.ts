/** How a report tells that CPUs wait for each other. */
import { describe, expect, test } from "vitest";
import { asciiDiagram } from "../../../src/main/report/ascii_diagram.ts";
import { columns } from "../../../src/main/report/columns.ts";
import { pageOf } from "../../../src/main/report/selection.ts";
import { Story } from "./story.ts";

const show = (story: Story): readonly string[] => {
  const trace = story.trace();
  return columns(pageOf(trace), trace.names).map((line) => line.replaceAll(/[|-]{2,}|[ |]+/g, " ").trim());
};
const DONE = { field: "completion.done" };
const DATA = { field: "work_struct.data" };

/** CPU 0 flushes a work item that takes a list of CPU 1, to which CPU 1 then adds. */
function flush(isWoken: boolean): Story {
  const story = new Story(2);
  const flusher = story.task(0);
  story.write(flusher, "barrier flush_all queue_work_on", "work.data", "0", "PENDING", DATA);
  story.read(flusher, "barrier flush_all flush_work wait_for_completion wait_event", "done", "0", DONE);
  story.read(flusher, "barrier flush_all flush_work wait_for_completion wait_event schedule", "cpu0.pending", "0");
  story.switchTo(0, 1, true);
  const adder = story.task(1);
  story.read(adder, "add wait_event schedule run_items process_one_work flush_list", "list", "NULL");
  story.write(adder, "add wait_event schedule run_items process_one_work", "work.data", "PENDING", "0", DATA);
  if (!isWoken) return story;
  story.write(adder, "add wait_event schedule run_items process_one_work complete", "done", "0", "1", DONE);
  story.end(adder);
  const late = story.task(1, "op 2");
  for (let i = 0; i < 10; i++) story.write(late, "add llist_add", "list", i === 0 ? "NULL" : `${i - 1}`, `${i}`);
  story.switchTo(1, 0);
  story.read(flusher, "barrier flush_all flush_work wait_for_completion wait_event", "done", "1", DONE);
  story.read(flusher, "barrier look", "list", "9");
  return story;
}

describe("a work item that is waited for", () => {
  test("the function that waits is a row, before the rows of others", () => {
    const lines = show(flush(true));
    expect(lines.slice(2, 5)).toEqual(["barrier()", "flush_work() waits", "CPU 1 runs (CPU 0 blocked)"]);
    expect(lines.filter((line) => line.includes("waits"))).toHaveLength(1);
  });
  test("how it is queued, run and completed is left out", () => {
    const text = show(flush(true)).join("\n");
    expect(text).toContain("list NULL -> 0");
    expect(text).not.toMatch(/work\.data|done/);
  });
  test("in a deadlock that is the story", () => {
    expect(show(flush(false)).join("\n")).toMatch(/work\.data 0 -> PENDING[^]*work\.data PENDING -> 0/);
  });
});

test("a lock that somebody waits for: who waits, and no more of how", () => {
  const story = new Story(2);
  const [holder, waiter] = [story.task(0), story.task(1)];
  const lock = { field: "spinlock.val" };
  story.write(holder, "f spin_lock", "lock", "free", "CPU 0", lock);
  for (let i = 0; i < 2; i++) {
    story.write(waiter, "g spin_lock spin_lock_slowpath park mark", "lock", "CPU 0", "CPU 0 (contended)", lock);
    story.write(waiter, "g spin_lock spin_lock_slowpath park mark", "cpu1.pending.waits_for", "NULL", "&lock", {
      field: "cpu_pending.waits_for",
    });
    story.switchTo(1, 0, true);
    story.read(holder, "f spin_unlock", "cpu1.pending.waits_for", "&lock", { field: "cpu_pending.waits_for" });
    story.write(holder, "f spin_unlock", "lock", "CPU 0 (contended)", "free", lock);
  }
  story.write(waiter, "g", "x0", "0", "1");
  const lines = show(story);
  expect(lines.filter((line) => line.includes("waits"))).toEqual(["spin_lock() waits"]);
});

test("a work item, an irq_work and RCU's callbacks begin something of their own, whoever called them", () => {
  const story = new Story(2);
  const [a, b] = [story.task(0), story.task(1)];
  story.read(a, "caller schedule run_items process_one_work free_all", "x0", "0");
  story.write(b, "other f", "x0", "0", "1");
  story.write(a, "caller", "x0", "1", "2");
  expect(show(story)).toEqual(
    expect.arrayContaining(["process_one_work()", "free_all()", "read x0 = 0", "other()", "caller()", "x0 1 -> 2"]),
  );
});

test("a diagram ends where the CPU stands that notices the failure", () => {
  const story = new Story(2);
  const barrier = story.task(1);
  story.read(barrier, "barrier drain", "list", "NULL");
  story.switchTo(1, 0, true);
  story.write(story.task(0), "add", "list", "NULL", "things#0");
  story.switchTo(0, 1);
  for (let i = 0; i < 10; i++) story.read(barrier, "barrier finish_up", `own.${i}`, "0");
  expect(asciiDiagram(story.trace()).at(-1)?.trim()).toBe("finish_up()");
});

test("where an object goes that a racing step moves is told", () => {
  const story = new Story(2);
  const [taker, looker] = [story.task(0), story.task(1)];
  story.read(looker, "look", "list", "things#0");
  story.write(taker, "take", "list", "things#0", "NULL");
  story.read(taker, "take", "sheaf", "kmalloc-64#1");
  for (let i = 0; i < 30; i++) story.read(taker, "compute", `own.${i}`, "0");
  story.write(taker, "store", "sheaf->objects[0]", "NULL", "things#0");
  story.read(looker, "look", "list", "NULL");
  const text = show(story).join("\n");
  expect(text).toContain("sheaf->objects[0] NULL -> things#0");
  expect(text).toContain("read sheaf = kmalloc-64#1");
  expect(text).not.toContain("own.");
});

test("what a chosen interrupt changes is told", () => {
  const story = new Story(2);
  const task = story.task(0);
  story.read(task, "f", "own", "0");
  const nmi = story.nmi(task);
  story.write(nmi, "nmi g", "alone", "0", "1");
  for (let i = 0; i < 12; i++) story.read(nmi, "nmi g", `other${i}`, "0");
  story.end(nmi);
  const [racing, other] = [story.task(1), story.task(0, "op 2")];
  for (let i = 0; i < 6; i++) {
    story.write(racing, "h", "shared", `${2 * i}`, `${2 * i + 1}`);
    story.write(other, "h", "shared", `${2 * i + 1}`, `${2 * i + 2}`);
  }
  const text = show(story).join("\n");
  expect(text).toContain("alone 0 -> 1");
  expect(text).not.toContain("other0");
});
