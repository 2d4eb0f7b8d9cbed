/**
 * Scenario llist: lock-less lists and irq_work with nothing around them. Every node is on one list or on none, and its
 * state says so: a node that is lost, or comes out of two lists, is noticed by whoever meets it next.
 *
 *   lists 0, 1   pushed by everybody, NMIs included; drained by everybody with llist_del_all()
 *   lists 2, 3   pushed by everybody; drained under a lock, as llist_del_first() demands
 *   own list     pushed by one CPU and its interrupts, drained by its irq_work: what deferred_percpu_work does
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { bug, no_memory } from "../../shared/cpu/bug.ts";
import { type Cpu, per_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import {
  LlistTortureNode,
  LT_DRAINED,
  LT_FREE,
  LT_LISTED,
  LT_WATCHED,
  NR_LIST_NODES,
  NR_TORTURE_LISTS,
  TortureCpu,
  TortureGlobals,
} from "../../shared/layout/torture.ts";
import { LlistHead, LlistNode } from "../../shared/layout/types.ts";
import {
  init_irq_work,
  irq_work_queue,
  irq_work_sync,
  kfree,
  kmalloc,
  llist_add,
  llist_add_batch,
  llist_del_all,
  llist_del_first,
  llist_next,
  llist_reverse_order,
  spin_lock_init,
  spin_lock_irqsave,
  spin_unlock_irqrestore,
  LC,
} from "../../shared/linux/api.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

const { torture: TORTURE } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { lists: LISTS, list_nodes: LIST_NODES, list_lock: LIST_LOCK } = TortureGlobals.offset;
const { list: LIST, list_work: LIST_WORK } = TortureCpu.offset;
const { node: NODE, state: STATE } = LlistTortureNode.offset;
const { next: NEXT } = LlistNode.offset;

/** The lists that everybody drains without a lock: the first ones. */
const NR_FREE_LISTS = 2;
const MAX_BATCH = 8;

type Node = Ptr<"llist_torture_node">;

function shared_list(cpu: Cpu, i: number): Ptr<"llist_head"> {
  return embedded_at(embedded(cpu.globals, TORTURE), LISTS, i, LlistHead.size);
}
function own_list(cpu: Cpu): Ptr<"llist_head"> {
  return embedded(embedded(cpu.home, TORTURE_CPU), LIST);
}
/** Takes a node that is on no list. @returns NULL if the drawn one is. @context Any */
function claim(cpu: Cpu, state: number): Node {
  const i = random_below(cpu, NR_LIST_NODES * cpu.map.shape.cpus);
  const node = (cpu.mem.read(embedded(cpu.globals, TORTURE), LIST_NODES) + i * LlistTortureNode.size) as Node;
  return cpu.mem.cmpxchg(node, STATE, LT_FREE, state) === LT_FREE ? node : NULL;
}
/** What comes out of a list was on it, once. */
function release(cpu: Cpu, node: Node): void {
  const state = cpu.mem.read_once(node, STATE);
  if (state !== LT_LISTED && state !== LT_WATCHED)
    bug(cpu, `node 0x${node.toString(16)} comes off a list in state ${state}`);
  cpu.mem.write_once(node, STATE, state === LT_WATCHED ? LT_DRAINED : LT_FREE);
}
function release_chain(cpu: Cpu, first: Ptr<"llist_node">): void {
  let left = NR_LIST_NODES * cpu.map.shape.cpus;
  for (let node = first; node !== NULL; left--) {
    if (left === 0) bug(cpu, "a list has more nodes than there are: it is circular");
    const next = llist_next(cpu, node); // Read first: a released node may be listed again at once.
    release(cpu, container_of(node, NODE));
    node = next;
  }
}

/** @context Any */
function push(cpu: Cpu): void {
  const node = claim(cpu, LT_LISTED);
  if (node !== NULL) llist_add(cpu, embedded(node, NODE), shared_list(cpu, random_below(cpu, NR_TORTURE_LISTS)));
}
/** @context Any */
function push_batch(cpu: Cpu): void {
  const last = claim(cpu, LT_LISTED);
  if (last === NULL) return;
  let first = last;
  for (let i = random_below(cpu, MAX_BATCH); i > 0; i--) {
    const node = claim(cpu, LT_LISTED);
    if (node === NULL) continue;
    cpu.mem.init(embedded(node, NODE), NEXT, embedded(first, NODE));
    first = node;
  }
  const list = shared_list(cpu, random_below(cpu, NR_TORTURE_LISTS));
  llist_add_batch(cpu, embedded(first, NODE), embedded(last, NODE), list);
}
/** @context Any */
function push_own(cpu: Cpu, node: Node): void {
  const work = embedded(embedded(cpu.home, TORTURE_CPU), LIST_WORK);
  if (llist_add(cpu, embedded(node, NODE), own_list(cpu))) irq_work_queue(cpu, work);
}
/** @context Any */
function push_own_unwatched(cpu: Cpu): void {
  const node = claim(cpu, LT_LISTED);
  if (node !== NULL) push_own(cpu, node);
}
/** What a task pushed before irq_work_sync() has been drained when it returns: E15. @context Task, may sleep */
function checked_push_own(cpu: Cpu): void {
  const node = claim(cpu, LT_WATCHED);
  if (node === NULL) return;
  push_own(cpu, node);
  irq_work_sync(cpu, embedded(embedded(cpu.home, TORTURE_CPU), LIST_WORK));
  const state = cpu.mem.read_once(node, STATE);
  if (state !== LT_DRAINED) bug(cpu, `irq_work_sync() returned, but a node queued before is in state ${state}`);
  cpu.mem.write_once(node, STATE, LT_FREE);
}
/** @context Hardirq */
function drain_own(cpu: Cpu): void {
  release_chain(cpu, llist_del_all(cpu, own_list(cpu)));
}

/** @context Any */
function drain(cpu: Cpu): void {
  const chain = llist_del_all(cpu, shared_list(cpu, random_below(cpu, NR_FREE_LISTS)));
  release_chain(cpu, random_below(cpu, 2) === 0 ? llist_reverse_order(cpu, chain) : chain);
}
/** @context Task or Hardirq */
function drain_locked(cpu: Cpu): void {
  const i = NR_FREE_LISTS + random_below(cpu, NR_TORTURE_LISTS - NR_FREE_LISTS);
  const lock = embedded(embedded(cpu.globals, TORTURE), LIST_LOCK);
  const flags = spin_lock_irqsave(cpu, lock);
  if (random_below(cpu, 4) === 0) {
    release_chain(cpu, llist_del_all(cpu, shared_list(cpu, i)));
  } else {
    for (let turns = 1 + random_below(cpu, MAX_BATCH); turns > 0; turns--) {
      const node = llist_del_first(cpu, shared_list(cpu, i));
      if (node === NULL) break;
      release(cpu, container_of(node, NODE));
    }
  }
  spin_unlock_irqrestore(cpu, lock, flags);
}

const MIX: Mix = [
  [16, push],
  [8, push_batch],
  [8, push_own_unwatched],
  [2, checked_push_own],
  [4, drain],
  [4, drain_locked],
];
const TOTAL = totalWeight(MIX);
const IN_NMI: Mix = [
  [4, push],
  [2, push_batch],
  [4, push_own_unwatched],
  [1, drain],
];
const TOTAL_IN_NMI = totalWeight(IN_NMI);

export const llist: Scenario = {
  bind: () => bind_callback(CB.llist_torture_irq_work, drain_own),
  setup(cpu) {
    const { cpus } = cpu.map.shape;
    const torture = embedded(cpu.globals, TORTURE);
    spin_lock_init(cpu, embedded(torture, LIST_LOCK), LC.test);
    const size = cpus * NR_LIST_NODES * LlistTortureNode.size;
    const nodes = kmalloc(cpu, size, GFP_KERNEL) as Ptr as Node;
    if (nodes === NULL) no_memory(cpu, "the nodes of scenario llist");
    cpu.mem.fill(nodes, size, 0); // All LT_FREE.
    cpu.mem.write(torture, LIST_NODES, nodes);
    for (let id = 0; id < cpus; id++) {
      const work = embedded(per_cpu_ptr(cpu, TORTURE_CPU, id), LIST_WORK);
      init_irq_work(cpu, work, CB.llist_torture_irq_work);
    }
  },
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: (cpu) => run_one_of(cpu, IN_NMI, TOTAL_IN_NMI),
  irq(cpu) {
    run_one_of(cpu, IN_NMI, TOTAL_IN_NMI);
    drain_locked(cpu);
  },
  /** With no more pushes, the irq_work that is queued by now is the last: nothing may be stranded (E14). */
  teardown(cpu) {
    irq_work_sync(cpu, embedded(embedded(cpu.home, TORTURE_CPU), LIST_WORK));
    if (llist_del_all(cpu, own_list(cpu)) !== NULL)
      bug(cpu, "nodes are stranded on a list whose irq_work is not queued");
  },
  finish(cpu) {
    const torture = embedded(cpu.globals, TORTURE);
    for (let i = 0; i < NR_TORTURE_LISTS; i++) release_chain(cpu, llist_del_all(cpu, shared_list(cpu, i)));
    const nodes = cpu.mem.read(torture, LIST_NODES);
    for (let i = 0; i < NR_LIST_NODES * cpu.map.shape.cpus; i++) {
      const state = cpu.mem.read_once((nodes + i * LlistTortureNode.size) as Node, STATE);
      if (state !== LT_FREE) bug(cpu, `node ${i} is lost: on no list, but in state ${state}`);
    }
    kfree(cpu, nodes);
  },
};
