/** Nodes that a task may have memory of: what a reader sees of a write, and that none means all. */
import { beforeEach, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import {
  cpuset_node_allowed,
  read_mems_allowed_begin,
  read_mems_allowed_retry,
  set_mems_allowed,
} from "../../../../src/shared/linux/kernel/cpuset.ts";
import { sequentialMachine } from "../../../machine.ts";

let cpu: Cpu;
let other: Cpu;
beforeEach(() => {
  [cpu, other] = sequentialMachine({ nodes: 2 }).cpus;
});
const allowed = (): boolean[] => [0, 1].map((node) => cpuset_node_allowed(cpu, node));

test("all nodes, until some are named", () => {
  expect(allowed()).toEqual([true, true]);
  set_mems_allowed(cpu, 2);
  expect(allowed()).toEqual([false, true]);
  expect(cpuset_node_allowed(other, 0)).toBe(true);
  set_mems_allowed(cpu, 0);
  expect(allowed()).toEqual([true, true]);
});
test("a reader looks again if the nodes have changed since it began, and only then", () => {
  const seq = read_mems_allowed_begin(cpu);
  expect(read_mems_allowed_retry(cpu, seq)).toBe(false);
  set_mems_allowed(other, 1);
  expect(read_mems_allowed_retry(cpu, seq)).toBe(false);
  set_mems_allowed(cpu, 1);
  expect(read_mems_allowed_retry(cpu, seq)).toBe(true);
  expect(read_mems_allowed_retry(cpu, read_mems_allowed_begin(cpu))).toBe(false);
});
