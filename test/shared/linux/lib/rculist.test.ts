/** rculist: changes under a lock, walks without; explored against each other. */
import { expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { result, resultOf, type Scenario } from "../../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import {
  INIT_LIST_HEAD_RCU,
  list_add_tail_rcu,
  list_del_rcu,
  list_next_rcu,
} from "../../../../src/shared/linux/lib/rculist.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../../machine.ts";
import { room } from "../layer.ts";

type Entry = Ptr<"list_head_rcu">;

const head = (cpu: Cpu): Entry => room(cpu, 0);
const entry = (cpu: Cpu, i: number): Entry => room(cpu, i);
/** Numbers of the entries that a walk meets, from `from` on. */
function walk(cpu: Cpu, from = head(cpu)): number[] {
  const met: number[] = [];
  for (let at = list_next_rcu(cpu, from); at !== head(cpu); at = list_next_rcu(cpu, at)) {
    met.push((at - head(cpu)) / 256);
  }
  return met;
}
function listOf(cpu: Cpu, ...entries: number[]): void {
  INIT_LIST_HEAD_RCU(cpu, head(cpu));
  for (const i of entries) list_add_tail_rcu(cpu, entry(cpu, i), head(cpu));
}

test("entries come in the order in which they were added", () => {
  const [cpu] = sequentialMachine().cpus;
  listOf(cpu);
  expect(walk(cpu)).toEqual([]);
  listOf(cpu, 1, 2, 3);
  expect(walk(cpu)).toEqual([1, 2, 3]);
  list_del_rcu(cpu, entry(cpu, 2));
  expect(walk(cpu)).toEqual([1, 3]);
});

test("from a deleted entry a walk goes on", () => {
  const [cpu] = sequentialMachine().cpus;
  listOf(cpu, 1, 2, 3);
  list_del_rcu(cpu, entry(cpu, 2));
  expect(walk(cpu, entry(cpu, 2))).toEqual([3]);
});

test("an entry is deleted once", () => {
  const [cpu] = sequentialMachine().cpus;
  listOf(cpu, 1);
  list_del_rcu(cpu, entry(cpu, 1));
  expect(() => list_del_rcu(cpu, entry(cpu, 1))).toThrow(/was deleted before/);
});

test("neighbours that point elsewhere are noticed", () => {
  const [cpu] = sequentialMachine().cpus;
  listOf(cpu, 1, 2);
  INIT_LIST_HEAD_RCU(cpu, head(cpu));
  expect(() => list_del_rcu(cpu, entry(cpu, 2))).toThrow(/do not point at it/);
});

/** Bits of the entries that CPU 1's walk met. */
const MET = 0;
const scenario: Scenario = {
  name: "rculist",
  kernel: BARE_KERNEL,
  setup: (cpu) => listOf(cpu, 1, 2, 3),
  cpus: [
    [(cpu) => list_del_rcu(cpu, entry(cpu, 2)), (cpu) => list_add_tail_rcu(cpu, entry(cpu, 4), head(cpu))],
    [
      (cpu) =>
        result(
          cpu,
          MET,
          walk(cpu).reduce((bits, i) => bits | (1 << i), 0),
        ),
    ],
  ],
};
/** All ways in which the walk may end, as bits of what it met. */
function met(of: Scenario): Set<number> {
  const seen = new Set<number>();
  const check = (cpu: Cpu): undefined => void seen.add(resultOf(cpu, MET));
  const run = new Explorer({ ...of, check }).explore({ bound: 2, random: 20 });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
  return seen;
}

test("a walk meets what is there all the time, and of what comes or goes some", () => {
  const always = (1 << 1) | (1 << 3);
  const [deleted, added] = [1 << 2, 1 << 4];
  expect([...met(scenario)].toSorted((a, b) => a - b)).toEqual(
    [always, always | deleted, always | added, always | deleted | added].toSorted((a, b) => a - b),
  );
});
