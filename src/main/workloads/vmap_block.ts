/**
 * vmap_block: blocks of pages that each CPU gives out from the first page to the last, without a search. Readers walk a
 * CPU's queue of blocks with free pages; an array finds the block of an address. A block whose pages have all been used
 * and given back goes by kfree_rcu(), since walkers may still stand on it. mm/vmalloc.c; spec rcu 2.1.
 *
 *   vb_alloc()                   Task or Hardirq; a reader of this CPU's queue; vb->lock, then vbq->lock
 *   vb_free()                    Task or Hardirq; vb->lock; the last page frees the block
 *   vb_look_up()                 Any; a reader of the array
 *   vb_walk()                    Any; a reader of a queue
 *   purge_fragmented_blocks()    Task or Hardirq; vb->lock, then vbq->lock
 *
 * An address is 32 * block + page + 1; 0 is none.
 *
 * Differs: a request may be for a whole block, which is in no queue then; the kernel's are for half of one at most.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { type Cpu, per_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import {
  NR_VMAP_BLOCKS,
  NR_VMAP_STASH,
  VMAP_BBMAP_BITS,
  VmapBlock,
  VmapBlockQueue,
  VmapGlobals,
  WorkloadCpu,
  WorkloadGlobals,
} from "../../shared/layout/workloads.ts";
import {
  kfree,
  kfree_rcu,
  kmalloc,
  LC,
  rcu_read_lock,
  rcu_read_unlock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_unlock_irqrestore,
} from "../../shared/linux/api.ts";
import { INIT_LIST_HEAD_RCU, list_add_tail_rcu, list_del_rcu, list_next_rcu } from "../../shared/linux/lib/rculist.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { assert_batching, check_tag, TAG_END, tag_object } from "./tag.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { workloads: WORKLOAD_CPU } = PerCpu.offset;
const { vmap: VMAP } = WorkloadGlobals.offset;
const { vmap_blocks: VMAP_BLOCKS, stash: STASH } = VmapGlobals.offset;
const { vmap_block_queue: VMAP_BLOCK_QUEUE } = WorkloadCpu.offset;
const { lock: VBQ_LOCK, free: VBQ_FREE } = VmapBlockQueue.offset;
const {
  lock: LOCK,
  free: FREE,
  dirty: DIRTY,
  used_map: USED_MAP,
  free_list: FREE_LIST,
  rcu_head: RCU_HEAD,
  tag: TAG,
  cpu: CPU,
  index: INDEX,
} = VmapBlock.offset;

type Block = Ptr<"vmap_block">;

const SIZE = VmapBlock.size + TAG_END;

const roots = (cpu: Cpu): Ptr<"vmap_globals"> => embedded(embedded(cpu.globals, WORKLOADS), VMAP);
const queue_of = (cpu: Cpu, id: number): Ptr<"vmap_block_queue"> =>
  embedded(per_cpu_ptr(cpu, WORKLOAD_CPU, id), VMAP_BLOCK_QUEUE);
const pages_mask = (page: number, count: number): number => ((2 ** count - 1) << page) | 0;

/** Empty queues. @context Task, alone */
export function vmap_block_init(cpu: Cpu): void {
  assert_batching(cpu);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    spin_lock_init(cpu, embedded(queue_of(cpu, id), VBQ_LOCK), LC.test_inner);
    INIT_LIST_HEAD_RCU(cpu, embedded(queue_of(cpu, id), VBQ_FREE));
  }
}

/** A block of which the caller has the first pages, in this CPU's queue. @returns 0: no memory, or too many blocks. */
function new_vmap_block(cpu: Cpu, count: number, gfp: number): number {
  const { mem } = cpu;
  const vb = kmalloc(cpu, SIZE, gfp) as Ptr as Block;
  if (vb === NULL) return 0;
  spin_lock_init(cpu, embedded(vb, LOCK), LC.test);
  mem.init(vb, FREE, VMAP_BBMAP_BITS - count);
  mem.init(vb, DIRTY, 0);
  mem.init(vb, USED_MAP, pages_mask(0, count));
  mem.init(vb, CPU, cpu.id);
  tag_object(cpu, vb, embedded(vb, TAG), SIZE);
  const first = random_below(cpu, NR_VMAP_BLOCKS);
  for (let i = 0; i < NR_VMAP_BLOCKS; i++) {
    const index = (first + i) % NR_VMAP_BLOCKS;
    mem.init(vb, INDEX, index);
    if (mem.cmpxchg(roots(cpu), element(VMAP_BLOCKS, index), NULL, vb) !== NULL) continue;
    // Others find it by address from now on, but nobody knows an address of it; walkers may find it only now.
    if (count < VMAP_BBMAP_BITS) join_queue(cpu, vb); // It leaves with its last page; a full one would stay.
    return VMAP_BBMAP_BITS * index + 1;
  }
  kfree(cpu, vb);
  return 0;
}
/** Walkers may take pages of it. @context Task or Hardirq, on the block's CPU */
function join_queue(cpu: Cpu, vb: Block): void {
  const vbq = queue_of(cpu, cpu.id);
  const flags = spin_lock_irqsave(cpu, embedded(vbq, VBQ_LOCK));
  list_add_tail_rcu(cpu, embedded(vb, FREE_LIST), embedded(vbq, VBQ_FREE));
  spin_unlock_irqrestore(cpu, embedded(vbq, VBQ_LOCK), flags);
}
/** No more pages of it: walkers need not look at it any more. @context its lock held, IRQs off */
function leave_queue(cpu: Cpu, vb: Block): void {
  const vbq = queue_of(cpu, cpu.mem.read(vb, CPU));
  const flags = spin_lock_irqsave(cpu, embedded(vbq, VBQ_LOCK));
  list_del_rcu(cpu, embedded(vb, FREE_LIST));
  spin_unlock_irqrestore(cpu, embedded(vbq, VBQ_LOCK), flags);
}

/** vb_alloc() - address of `count` pages. @returns 0: there are none. @context Task or Hardirq, as gfp says */
export function vb_alloc(cpu: Cpu, count: number, gfp: number): number {
  const head = embedded(queue_of(cpu, cpu.id), VBQ_FREE);
  rcu_read_lock(cpu);
  let found = 0;
  for (let entry = list_next_rcu(cpu, head); entry !== head && found === 0; entry = list_next_rcu(cpu, entry)) {
    const vb = container_of(entry, FREE_LIST);
    check_tag(cpu, vb, embedded(vb, TAG), "walker of vmap_block_queue");
    if (cpu.mem.read_once(vb, FREE) >= count) found = take_pages(cpu, vb, count);
  }
  rcu_read_unlock(cpu);
  return found === 0 ? new_vmap_block(cpu, count, gfp) : found;
}
/** @returns 0: meanwhile there are too few. @context A reader */
function take_pages(cpu: Cpu, vb: Block, count: number): number {
  const { mem } = cpu;
  const flags = spin_lock_irqsave(cpu, embedded(vb, LOCK));
  const free = mem.read_once(vb, FREE); // Once more: it may have changed up to the lock.
  let address = 0;
  if (free >= count) {
    const page = VMAP_BBMAP_BITS - free;
    const used = mem.read(vb, USED_MAP);
    if ((used & pages_mask(page, count)) !== 0) bug(cpu, `vb_alloc(): page ${page} of the block is in use`);
    mem.write(vb, USED_MAP, used | pages_mask(page, count));
    mem.write_once(vb, FREE, free - count);
    if (free === count) leave_queue(cpu, vb);
    address = VMAP_BBMAP_BITS * mem.read(vb, INDEX) + page + 1;
  }
  spin_unlock_irqrestore(cpu, embedded(vb, LOCK), flags);
  return address;
}

/** The block of an address. @context Any; a page of it is in use, or a reader */
function block_of(cpu: Cpu, address: number): Block {
  const index = Math.floor((address - 1) / VMAP_BBMAP_BITS);
  const vb = cpu.mem.read_once(roots(cpu), element(VMAP_BLOCKS, index));
  if (vb === NULL) return NULL;
  check_tag(cpu, vb, embedded(vb, TAG), "reader of vmap_block");
  if (cpu.mem.read(vb, INDEX) !== index) bug(cpu, `vmap_blocks[${index}] is block ${cpu.mem.read(vb, INDEX)}`);
  return vb;
}
/** vb_free() - gives `count` pages back. @context Task or Hardirq; the pages are the caller's */
export function vb_free(cpu: Cpu, address: number, count: number): void {
  const { mem } = cpu;
  const vb = block_of(cpu, address);
  if (vb === NULL) bug(cpu, `vb_free(${address}): there is no such block`);
  const mask = pages_mask((address - 1) % VMAP_BBMAP_BITS, count);
  const flags = spin_lock_irqsave(cpu, embedded(vb, LOCK));
  const used = mem.read(vb, USED_MAP);
  if ((used & mask) !== mask) bug(cpu, `vb_free(${address}): not all of the ${count} pages are in use`);
  mem.write(vb, USED_MAP, used & ~mask);
  const dirty = mem.read_once(vb, DIRTY) + count;
  mem.write_once(vb, DIRTY, dirty);
  spin_unlock_irqrestore(cpu, embedded(vb, LOCK), flags);
  if (dirty === VMAP_BBMAP_BITS) free_vmap_block(cpu, vb); // Only one sees the last page come back.
}
/** Nobody has a page of it, and it is in no queue; but walkers may stand on it. @context Task or Hardirq */
function free_vmap_block(cpu: Cpu, vb: Block): void {
  const index = cpu.mem.read(vb, INDEX);
  const found = cpu.mem.cmpxchg(roots(cpu), element(VMAP_BLOCKS, index), vb, NULL);
  if (found !== vb) bug(cpu, `vmap_blocks[${index}] has another block than the one that is freed`);
  kfree_rcu(cpu, vb, RCU_HEAD);
}

/** Is there a block for this address? If so it stays for as long as the reader looks. @context Any */
export function vb_look_up(cpu: Cpu, address: number, looks: number): void {
  rcu_read_lock(cpu);
  const vb = block_of(cpu, address);
  if (vb !== NULL) {
    const stamp = check_tag(cpu, vb, embedded(vb, TAG), "reader of vmap_block");
    for (let left = looks; left > 0; left--) check_tag(cpu, vb, embedded(vb, TAG), "reader of vmap_block", stamp);
  }
  rcu_read_unlock(cpu);
}
/** Walks a CPU's queue. @context Any */
export function vb_walk(cpu: Cpu, id: number): void {
  rcu_read_lock(cpu);
  const head = embedded(queue_of(cpu, id), VBQ_FREE);
  for (let entry = list_next_rcu(cpu, head); entry !== head; entry = list_next_rcu(cpu, entry)) {
    const vb = container_of(entry, FREE_LIST);
    check_tag(cpu, vb, embedded(vb, TAG), "walker of vmap_block_queue");
    if (cpu.mem.read(vb, CPU) !== id) bug(cpu, `CPU ${id}'s queue leads to a block of CPU ${cpu.mem.read(vb, CPU)}`);
  }
  rcu_read_unlock(cpu);
}

/** purge_fragmented_blocks() - blocks of a CPU that have no page in use, though not all were used. @context as vb_free() */
export function purge_fragmented_blocks(cpu: Cpu, id: number): void {
  const purged: Block[] = [];
  rcu_read_lock(cpu);
  const head = embedded(queue_of(cpu, id), VBQ_FREE);
  for (let entry = list_next_rcu(cpu, head); entry !== head; entry = list_next_rcu(cpu, entry)) {
    const vb = container_of(entry, FREE_LIST);
    if (is_fragmented(cpu, vb) && purge_fragmented_block(cpu, vb)) purged.push(vb);
  }
  rcu_read_unlock(cpu);
  for (const vb of purged) free_vmap_block(cpu, vb);
}
function is_fragmented(cpu: Cpu, vb: Block): boolean {
  const dirty = cpu.mem.read_once(vb, DIRTY);
  return dirty !== VMAP_BBMAP_BITS && cpu.mem.read_once(vb, FREE) + dirty === VMAP_BBMAP_BITS;
}
/** @returns true: it is out of the queue, and the caller frees it. @context A reader */
function purge_fragmented_block(cpu: Cpu, vb: Block): boolean {
  const flags = spin_lock_irqsave(cpu, embedded(vb, LOCK));
  const purge = is_fragmented(cpu, vb); // Once more: somebody may have taken pages.
  if (purge) {
    cpu.mem.write_once(vb, FREE, 0); // Nobody takes any more.
    cpu.mem.write_once(vb, DIRTY, VMAP_BBMAP_BITS);
    leave_queue(cpu, vb);
  }
  spin_unlock_irqrestore(cpu, embedded(vb, LOCK), flags);
  return purge;
}

/** Gets pages and leaves their address to somebody; gives back what somebody has left. @context Task or Hardirq */
export function vb_pass_on(cpu: Cpu, draw: number, gfp: number): void {
  const place = draw % NR_VMAP_STASH;
  const count = pages_at(place);
  const left = cpu.mem.xchg(roots(cpu), element(STASH, place), vb_alloc(cpu, count, gfp));
  if (left !== 0) vb_free(cpu, left, count);
}
/** Pages behind an address of the stash. */
const pages_at = (place: number): number => 1 << (place & 3);

/** Gives everything back. @context Task, alone */
export function vmap_block_destroy(cpu: Cpu): void {
  const { mem } = cpu;
  for (let place = 0; place < NR_VMAP_STASH; place++) {
    const left = mem.xchg(roots(cpu), element(STASH, place), 0);
    if (left !== 0) vb_free(cpu, left, pages_at(place));
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) purge_fragmented_blocks(cpu, id);
  for (let index = 0; index < NR_VMAP_BLOCKS; index++) {
    if (mem.read_once(roots(cpu), element(VMAP_BLOCKS, index)) !== NULL) bug(cpu, `vmap_blocks[${index}] is left`);
  }
}
