/** The columns of a failure and the diagram of a commit message, to the letter; and their bounds. */
import { describe, expect, test } from "vitest";
import { asciiDiagram } from "../../../src/main/report/ascii_diagram.ts";
import { columns, WIDTH } from "../../../src/main/report/columns.ts";
import { pageOf } from "../../../src/main/report/selection.ts";
import type { Trace } from "../../../src/main/report/trace.ts";
import { nestedProducer, Story } from "./story.ts";

const show = (trace: Trace): readonly string[] => columns(pageOf(trace), trace.names);

test("an interrupt nests in the column of its CPU, and what only one context touches is left out", () => {
  expect(show(nestedProducer().trace()).join("\n")).toMatchInlineSnapshot(`
    "CPU 0                                           | CPU 1
    ------------------------------------------------+------------------------------------------------
    kfree_rcu_nolock()                              |
      push > llist_add()                            |
        read cpu0.dpw.objects_by_rcu = NULL         |
        cpu0.dpw.objects_by_rcu NULL -> things#0+8  |
      <NMI>                                         |
        kfree_rcu_nolock()                          |
          push > llist_add()                        |
            read cpu0.dpw.objects_by_rcu            |
              = things#0+8                          |
            cpu0.dpw.objects_by_rcu                 |
              things#0+8 -> things#1+8              |
      </NMI>                                        |
    --- CPU 1 runs (CPU 0 preempted) -------
                                                    | kvfree_rcu_barrier_on_cache()
                                                    |   irq_work_sync()
                                                    |     read cpu0.dpw.work.flags = 0
                                                    |   ... 19 steps in rcu_barrier()
                                                    |   rcu_barrier()
                                                    |     read rcu_state.w19 = 0"
  `);
});

test("the diagram has the decisive accesses only", () => {
  expect(asciiDiagram(nestedProducer().trace()).join("\n")).toMatchInlineSnapshot(`
    "  CPU 0                                                        CPU 1
      -----                                                        -----
      kfree_rcu_nolock()
        push > llist_add()
          read cpu0.dpw.objects_by_rcu = NULL
          cpu0.dpw.objects_by_rcu NULL -> things#0+8
        <NMI>
          kfree_rcu_nolock()
            push > llist_add()
              read cpu0.dpw.objects_by_rcu = things#0+8
              cpu0.dpw.objects_by_rcu things#0+8 -> things#1+8
        </NMI>
                                                                   kvfree_rcu_barrier_on_cache()
                                                                     irq_work_sync()
                                                                       read cpu0.dpw.work.flags = 0"
  `);
});

/** Every CPU reads, then every CPU writes, again and again: all of it races. */
function crowd(cpus: number, rounds: number): Trace {
  const story = new Story(cpus);
  const frames = Array.from({ length: cpus }, (_, cpu) => story.task(cpu));
  for (let i = 0; i < rounds; i++) {
    for (const frame of frames) story.read(frame, "add", `cpu0.a_long_variable_name.of_something[${i}]`, `${i}`);
    for (const frame of frames) {
      story.write(frame, "add", `cpu0.a_long_variable_name.of_something[${i}]`, `${i}`, `${i + 1}`);
      story.switchTo(frame.cpu, (frame.cpu + 1) % cpus);
    }
  }
  return story.trace();
}

describe.each([1, 2, 3, 4, 5, 10])("%i CPUs", (cpus) => {
  test("fit the width, and end where nothing follows", () => {
    const lines = [...show(crowd(cpus, 3)), ...asciiDiagram(crowd(cpus, 3))];
    expect(lines.filter((line) => line.length > WIDTH || line.endsWith(" "))).toEqual([]);
  });
});

test("a long story is cut in the middle, and says so", () => {
  const rows = pageOf(crowd(2, 200));
  expect(rows.length).toBe(150);
  expect(rows.filter((row) => "line" in row && row.line.includes("rows are left out here"))).toHaveLength(1);
  expect(asciiDiagram(crowd(2, 200)).length).toBeLessThan(70);
});

test("a loop that reads the same again is one row", () => {
  const story = new Story(2);
  const waiter = story.task(0);
  const setter = story.task(1);
  for (let i = 0; i < 5; i++) story.read(waiter, "wait", "x0", "0");
  story.switchTo(0, 1, true);
  story.write(setter, "set", "x0", "0", "1");
  expect(show(story.trace()).filter((line) => line.includes("read x0"))).toHaveLength(1);
});

test("a lock is part of the story only when somebody else wants it", () => {
  const locked = (after: string): string => {
    const story = new Story(2);
    const lock = { field: "spinlock.val" };
    const [a, b] = [story.task(0), story.task(1)];
    story.write(a, "spin_lock", "cpu0.krc.lock", "free", "CPU 0", lock);
    for (let i = 0; i < 12; i++) story.write(a, "work", "x0", `${i}`, `${i + 1}`);
    for (let i = 12; i < 24; i++) story.write(b, "work", "x0", `${i}`, `${i + 1}`);
    story.write(b, "spin_lock", "cpu0.krc.lock", "CPU 0", after, lock);
    story.read(b, "work", "x1", "0");
    return show(story.trace()).join("\n");
  };
  expect(locked("CPU 0")).toContain("cpu0.krc.lock = CPU 0 (cmpxchg fails)");
  expect(locked("CPU 1")).not.toContain("cpu0.krc.lock");
});

test("time that passes is a line, and how often nobody could run", () => {
  const story = new Story(2);
  story.read(story.task(0), "wait", "x0", "0");
  for (let i = 0; i < 3; i++) story.events.push({ what: "tick", jiffies: 1, forced: true });
  story.switchTo(0, 1, true);
  story.write(story.task(1), "set", "x0", "0", "1");
  expect(show(story.trace()).map((line) => line.replaceAll("-", "").trim())).toEqual(
    expect.arrayContaining(["CPU 1 runs (CPU 0 blocked)", "3 ticks: nobody can run"]),
  );
});

test("a long way of calls is told by its outermost function and the innermost ones", () => {
  const story = new Story(2);
  const [a, b] = [story.task(0), story.task(1)];
  story.write(a, "f the_outermost_function between_1 between_2 the_caller innermost", "x0", "0", "1");
  story.write(b, "f the_outermost_function_of_all_that_are_here between innermost", "x0", "1", "2");
  const text = show(story.trace()).join("\n");
  expect(text).toContain("the_outermost_function > ... > innermost()");
  expect(text).toContain("  between > innermost()");
});

test("what a CPU does while it looks for work is neither a row nor counted", () => {
  const story = new Story(2);
  const [a, b] = [story.task(0), story.task(1)];
  story.read(a, "f", "x0", "0");
  for (let i = 0; i < 12; i++) story.write(a, "f wait_event schedule rcu_core", "rcu_state.word", `${i}`, `${i + 1}`);
  for (let i = 0; i < 13; i++) story.read(a, "f work", `own${i}`, "0");
  story.switchTo(0, 1);
  story.write(b, "g", "x0", "0", "1");
  story.read(b, "g", "rcu_state.word", "12");
  story.read(a, "f", "x0", "1");
  const text = show(story.trace()).join("\n");
  expect(text).toContain("... 12 steps in work()");
  expect(text).not.toContain("word 0 -> 1");
});

test("routine is shown where there is nothing else", () => {
  const withMore = (more: boolean): string => {
    const story = new Story(2);
    const [a, b] = [story.task(0), story.task(1)];
    for (let i = 0; i < 3; i++) story.write(a, "rcu_core", `rcu_state.w${i}`, "0", "1");
    story.end(a);
    for (let i = 0; i < 3; i++) story.read(b, "rcu_core", `rcu_state.w${i}`, "1");
    if (more) story.read(b, "f", "cpu0.word", "0");
    return show(story.trace()).join("\n");
  };
  expect(withMore(false)).toContain("rcu_state.w0 0 -> 1");
  expect(withMore(true)).toContain("read cpu0.word = 0");
  expect(withMore(true)).not.toContain("rcu_state");
});
