/**
 * The table at the top of linux/lib/llist.ts: each operation against each. Two nodes are on the list, and each CPU has two
 * of its own. In a cell that says "yes" every node is afterwards in one place; in one that says "lock" the same programs
 * reach the ABA that the lock would prevent.
 *
 *   add         push a node
 *   add_batch   push a chain of two
 *   del_all     take all, put the first one back
 *   del_first   take one, then another, put the first one back
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { llist_add_batch, llist_next } from "../../shared/linux/lib/llist.ts";
import { LlistNode } from "../../shared/layout/types.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { result, resultOf, type Operation, type Scenario } from "../explore/scenario.ts";
import { atomicList, type ListOperations, tornList } from "./kit_llist.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const { next: NEXT } = LlistNode.offset;
const OPERATIONS = ["add", "add_batch", "del_all", "del_first"] as const;
type OperationName = (typeof OPERATIONS)[number];
/** Cells that need a lock. */
const LOCKED: ReadonlySet<string> = new Set(["del_all-del_first", "del_first-del_first"]);

const HEAD = 32;
const NODES = 40;
/** Nodes 0 and 1 are on the list; 2 + 2 * id and the next one are a CPU's own. */
const node = (cpu: Cpu, i: number): Ptr<"llist_node"> => at(cpu, NODES + 4 * i);
const own = (cpu: Cpu): number => 2 + 2 * cpu.id;
/** A set of nodes that may hold one several times: a digit of four bits for each. */
const one = (cpu: Cpu, taken: Ptr<"llist_node">): number => (taken === NULL ? 0 : 1 << ((taken - node(cpu, 0)) >> 2));

/** @returns what the CPU has taken and kept. */
type Program = (cpu: Cpu, list: ListOperations) => number;
const putBack = (cpu: Cpu, list: ListOperations, taken: Ptr<"llist_node">): void => {
  if (taken !== NULL) list.add_batch(cpu, taken, taken, at(cpu, HEAD));
};
const PROGRAMS: Readonly<Record<OperationName, Program>> = {
  add: (cpu, list) => {
    const mine = node(cpu, own(cpu));
    list.add_batch(cpu, mine, mine, at(cpu, HEAD));
    return 0;
  },
  add_batch: (cpu, list) => {
    const [first, last] = [node(cpu, own(cpu)), node(cpu, own(cpu) + 1)];
    cpu.mem.init(first, NEXT, last);
    list.add_batch(cpu, first, last, at(cpu, HEAD));
    return 0;
  },
  del_all: (cpu, list) => {
    const first = list.del_all(cpu, at(cpu, HEAD));
    let kept = 0;
    if (first !== NULL) for (let n = llist_next(cpu, first); n !== NULL; n = llist_next(cpu, n)) kept += one(cpu, n);
    putBack(cpu, list, first);
    return kept;
  },
  del_first: (cpu, list) => {
    const first = list.del_first(cpu, at(cpu, HEAD));
    const kept = one(cpu, list.del_first(cpu, at(cpu, HEAD)));
    putBack(cpu, list, first);
    return kept;
  },
};
const ADDED: Readonly<Record<OperationName, number>> = { add: 1, add_batch: 2, del_all: 0, del_first: 0 };

function cell(a: OperationName, b: OperationName): Litmus {
  const scenario = (name: string, list: ListOperations): Scenario => {
    const run =
      (operation: OperationName): Operation =>
      (cpu) =>
        result(cpu, cpu.id, PROGRAMS[operation](cpu, list));
    return {
      name,
      setup: (cpu) => {
        cpu.mem.init(node(cpu, 0), NEXT, node(cpu, 1));
        llist_add_batch(cpu, node(cpu, 0), node(cpu, 1), at(cpu, HEAD));
      },
      cpus: [[run(a)], [run(b)]],
    };
  };
  /** Every node that was ever on the list: 0, 1, and what the CPUs have added. */
  const nodes = [0, 1, ...[a, b].flatMap((operation, id) => [2 + 2 * id, 3 + 2 * id].slice(0, ADDED[operation]))];
  const everyNodeOnce = nodes.reduce((sum, i) => sum + (1 << (4 * i)), 0);
  const common = {
    outcome: "a node in no place, or in two",
    observed: (cpu: Cpu) => resultOf(cpu, 0) + resultOf(cpu, 1) + onList(cpu) !== everyNodeOnce,
    bound: 2,
  };
  const name = `llist-${a}-${b}`;
  if (LOCKED.has(`${a}-${b}`)) {
    const title = `${a} against ${b}, which needs a lock: without one, a node gets lost or has two owners`;
    return { ...common, title, verdict: "A", scenario: scenario(name, atomicList) };
  }
  return {
    ...common,
    title: `${a} against ${b}, which needs no lock: every node stays in one place`,
    verdict: "F",
    scenario: scenario(name, atomicList),
    vacuity: scenario(`${name}+no-op`, tornList),
  };
}
/** What is on the list. A broken one may be a circle. */
function onList(cpu: Cpu): number {
  let sum = 0;
  let n = atomicList.del_all(cpu, at(cpu, HEAD));
  for (let steps = 0; n !== NULL && steps < 8; steps++, n = llist_next(cpu, n)) sum += one(cpu, n);
  return sum;
}

export default OPERATIONS.flatMap((a, i) => OPERATIONS.slice(i).map((b) => cell(a, b)));
