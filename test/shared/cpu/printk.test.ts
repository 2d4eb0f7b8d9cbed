/** The log of a machine: written in any context without steps, read from outside. */
import { expect, test } from "vitest";
import { Explorer } from "../../../src/main/explore/explore.ts";
import { get, set } from "../../../src/main/explore/scenario.ts";
import { dmesg, logRecords } from "../../../src/main/report/dmesg.ts";
import { warn } from "../../../src/shared/cpu/bug.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { printk } from "../../../src/shared/cpu/printk.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { KERN_ERR, KERN_INFO, KERN_WARNING, LOG_TEXT_BYTES } from "../../../src/shared/layout/printk.ts";
import { sequentialMachine } from "../../machine.ts";
import { TestMachine } from "../linux/mm/kvfree_rcu/machine.ts";

const texts = ({ mem, map }: Cpu): string[] => logRecords(mem, map).map(({ text }) => text);

test("records of all CPUs in the order in which they were printed", () => {
  const m = new TestMachine({ cpus: 2 });
  const [a, b] = m.cpus;
  printk(a, KERN_ERR, "first");
  m.tick(3);
  m.nmi(b, () => printk(b, KERN_INFO, "second\nwith two lines"));
  printk(a, KERN_ERR, "third");
  expect(logRecords(a.mem, a.map).map(({ cpu, level, context, text }) => [cpu, level, context, text])).toEqual([
    [0, KERN_ERR, "task", "first"],
    [1, KERN_INFO, "nmi", "second\nwith two lines"],
    [0, KERN_ERR, "task", "third"],
  ]);
  const jiffies = String(a.mem.peek(a.globals, Globals.offset.jiffies)).padStart(5);
  expect(dmesg(a.mem, a.map)).toEqual([
    "[    0] CPU 0 task: first",
    `[${jiffies}] CPU 1 nmi: second`,
    `[${jiffies}] CPU 1 nmi: with two lines`,
    `[${jiffies}] CPU 0 task: third`,
  ]);
});
test.each(["", "a", "abcd", "abcde"])("a text of any length: '%s'", (text) => {
  const [cpu] = sequentialMachine().cpus;
  printk(cpu, KERN_ERR, text);
  printk(cpu, KERN_ERR, "next");
  expect(texts(cpu)).toEqual([text, "next"]);
});
test("the oldest records give way, and it is said how many did", () => {
  const [cpu] = sequentialMachine().cpus;
  for (let i = 0; i < 1000; i++) printk(cpu, KERN_ERR, `record ${i} ${"x".repeat(i % 50)}`);
  const left = texts(cpu);
  expect(left.at(-1)).toMatch(/^record 999 /);
  expect(left.length).toBeGreaterThan(50);
  expect(left[0]).toMatch(new RegExp(`^record ${1000 - left.length} `));
  expect(dmesg(cpu.mem, cpu.map)[0]).toBe(`${1000 - left.length} older messages were overwritten`);
});
test("a text that is too long is cut off", () => {
  const [cpu] = sequentialMachine().cpus;
  printk(cpu, KERN_ERR, "y".repeat(2 * LOG_TEXT_BYTES));
  expect(texts(cpu)).toEqual(["y".repeat(LOG_TEXT_BYTES)]);
});
test("a warning after which the machine goes on is there too", () => {
  const { cpus } = new TestMachine({}, { panic_on_warn: 0 });
  warn(cpus[0], "something is odd");
  expect(logRecords(cpus[0].mem, cpus[0].map).map(({ level, text }) => [level, text])).toEqual([
    [KERN_WARNING, "WARNING: something is odd"],
  ]);
});
test("under the explorer it is no step, and is not repeated when an operation is executed again", () => {
  const program = (cpu: Cpu): void => {
    printk(cpu, KERN_ERR, `CPU ${cpu.id} has ${get(cpu, 0)}`);
    set(cpu, 0, get(cpu, 0) + 1);
    set(cpu, 1, get(cpu, 1) + 1);
  };
  const explorer = new Explorer({
    name: "log",
    cpus: [[program], [program]],
    check: (cpu) => {
      const lines = texts(cpu);
      if (lines.length !== 2) return `${lines.length} lines`;
      return lines.some((line) => line.endsWith("has 0")) ? undefined : lines.join();
    },
  });
  const run = explorer.explore({ bound: 2, exhaustive: 5000 });
  expect(run.failure).toBe(undefined);
  expect(run.executions).toBeGreaterThan(10);
});
