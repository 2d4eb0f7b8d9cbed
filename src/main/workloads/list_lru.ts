/**
 * list_lru: a table of lists by memory cgroup. Who has an item looks the list up under RCU; who needs a larger table
 * copies it under the mutex, publishes the copy, and gives the old one to kvfree_rcu(). mm/list_lru.c; spec rcu 2.1.
 *
 *   list_lru_add_del()          Any; no lock: a reader of table and list
 *   memcg_list_lru_alloc()      Task; mutex
 *   memcg_list_lru_free()       Task; mutex; the list goes by kfree_rcu()
 *   memcg_update_list_lru()     Task; mutex; table and lists that no longer fit go by kvfree_rcu()
 *
 * Differs: a list is a count of items. Lists go by kfree_rcu(), where the kernel moves their items to the parent's.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { ListLru, ListLruMemcg, ListLruOne, WorkloadGlobals } from "../../shared/layout/workloads.ts";
import { kfree_rcu, kmalloc, kvfree_rcu, rcu_read_lock, rcu_read_unlock } from "../../shared/linux/api.ts";
import { LC } from "../../shared/linux/sync/lockdep.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "../../shared/linux/sync/mutex.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { alloc_array } from "./array.ts";
import { assert_batching, check_tag, TAG_END, tag_object } from "./tag.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { list_lru: LIST_LRU } = WorkloadGlobals.offset;
const { memcg_lrus: MEMCG_LRUS, mutex: MUTEX } = ListLru.offset;
const { rcu: TABLE_RCU, tag: TABLE_TAG, nr: NR, lru: LRU } = ListLruMemcg.offset;
const { rcu: ONE_RCU, tag: ONE_TAG, memcg: MEMCG, nr_items: NR_ITEMS } = ListLruOne.offset;

type Table = Ptr<"list_lru_memcg">;
type One = Ptr<"list_lru_one">;

const lru_of = (cpu: Cpu): Ptr<"list_lru"> => embedded(embedded(cpu.globals, WORKLOADS), LIST_LRU);

/** A list_lru without a table. @context Task, alone */
export function list_lru_init(cpu: Cpu): void {
  assert_batching(cpu);
  mutex_init(cpu, embedded(lru_of(cpu), MUTEX), LC.test_mutex);
}

/**
 * Adds an item to the list of a memory cgroup and takes it off again: both within one reader, during which table and list
 * must stay what they are.
 *
 * @param draw   chooses the memory cgroup: modulo the size of the table.
 * @param looks  how often the reader looks.
 * @context Any
 */
export function list_lru_add_del(cpu: Cpu, draw: number, looks: number): void {
  const { mem } = cpu;
  rcu_read_lock(cpu);
  const table = mem.read_once(lru_of(cpu), MEMCG_LRUS);
  if (table !== NULL) {
    const table_stamp = check_tag(cpu, table, embedded(table, TABLE_TAG), "reader of list_lru_memcg");
    const memcg = draw % mem.read(table, NR);
    const one = mem.read_once(table, element(LRU, memcg));
    if (one !== NULL) use(cpu, one, memcg, looks);
    check_tag(cpu, table, embedded(table, TABLE_TAG), "reader of list_lru_memcg, at its end", table_stamp);
  }
  rcu_read_unlock(cpu);
}
function use(cpu: Cpu, one: One, memcg: number, looks: number): void {
  const { mem } = cpu;
  const stamp = check_tag(cpu, one, embedded(one, ONE_TAG), "reader of list_lru_one");
  if (mem.read(one, MEMCG) !== memcg) bug(cpu, `the list of memory cgroup ${memcg} is that of ${mem.read(one, MEMCG)}`);
  mem.fetch_add(one, NR_ITEMS, 1);
  for (let left = looks; left > 0; left--) check_tag(cpu, one, embedded(one, ONE_TAG), "reader of list_lru_one", stamp);
  mem.fetch_add(one, NR_ITEMS, -1);
}

/** A table of `nr` entries, all NULL. @returns NULL: no memory. @context Task, may sleep */
function alloc_table(cpu: Cpu, nr: number): Table {
  const bytes = ListLruMemcg.size + 8 * nr + TAG_END;
  const table = alloc_array(cpu, bytes) as Ptr as Table;
  if (table === NULL) return NULL;
  cpu.mem.init(table, NR, nr);
  tag_object(cpu, table, embedded(table, TABLE_TAG), bytes);
  return table;
}
/**
 * memcg_update_list_lru() - a table of `nr` entries in place of the present one. Lists that have no place in it are freed.
 * @returns false: no memory, nothing is changed.
 * @context Task, may sleep
 * @pairs   list_lru_add_del(): it finds the old table or the new one, each whole; the old one until it ends.
 */
export function memcg_update_list_lru(cpu: Cpu, nr: number): boolean {
  const { mem } = cpu;
  const lru = lru_of(cpu);
  const table = alloc_table(cpu, nr);
  if (table === NULL) return false;
  mutex_lock(cpu, embedded(lru, MUTEX));
  const old = mem.read_once(lru, MEMCG_LRUS);
  const old_nr = old === NULL ? 0 : mem.read(old, NR);
  for (let i = 0; i < Math.min(nr, old_nr); i++) {
    mem.init(table, element(LRU, i), mem.read_once(old, element(LRU, i))); // Nobody else changes them: the mutex.
  }
  mem.write_once(lru, MEMCG_LRUS, table);
  for (let i = nr; i < old_nr; i++) free_one(cpu, mem.read_once(old, element(LRU, i)));
  mutex_unlock(cpu, embedded(lru, MUTEX));
  if (old !== NULL) kvfree_rcu(cpu, old, TABLE_RCU);
  return true;
}
/** Readers may have found it. */
function free_one(cpu: Cpu, one: One): void {
  if (one !== NULL) kfree_rcu(cpu, one, ONE_RCU);
}

/** memcg_list_lru_alloc() - a list for a memory cgroup that has none yet. @context Task, may sleep */
export function memcg_list_lru_alloc(cpu: Cpu, draw: number): void {
  const { mem } = cpu;
  const lru = lru_of(cpu);
  const bytes = ListLruOne.size + TAG_END;
  mutex_lock(cpu, embedded(lru, MUTEX));
  const table = mem.read_once(lru, MEMCG_LRUS);
  const memcg = table === NULL ? 0 : draw % mem.read(table, NR);
  if (table !== NULL && mem.read_once(table, element(LRU, memcg)) === NULL) {
    const one = kmalloc(cpu, bytes, GFP_KERNEL) as Ptr as One;
    if (one !== NULL) {
      mem.init(one, MEMCG, memcg);
      mem.init(one, NR_ITEMS, 0);
      tag_object(cpu, one, embedded(one, ONE_TAG), bytes);
      mem.write_once(table, element(LRU, memcg), one);
    }
  }
  mutex_unlock(cpu, embedded(lru, MUTEX));
}
/** The memory cgroup goes, and its list with it. @context Task, may sleep */
export function memcg_list_lru_free(cpu: Cpu, draw: number): void {
  const { mem } = cpu;
  const lru = lru_of(cpu);
  mutex_lock(cpu, embedded(lru, MUTEX));
  const table = mem.read_once(lru, MEMCG_LRUS);
  if (table !== NULL) free_one(cpu, mem.xchg(table, element(LRU, draw % mem.read(table, NR)), NULL));
  mutex_unlock(cpu, embedded(lru, MUTEX));
}

/** What is wrong with the table: a list that has kept an item, or is not its memory cgroup's. @context Any, at rest */
export function check_list_lru(cpu: Cpu): string | undefined {
  const { mem } = cpu;
  const table = mem.peek(lru_of(cpu), MEMCG_LRUS);
  const nr = table === NULL ? 0 : mem.peek(table, NR);
  for (let i = 0; i < nr; i++) {
    const one = mem.peek(table, element(LRU, i));
    if (one === NULL) continue;
    const items = mem.peek(one, NR_ITEMS);
    if (items !== 0) return `the list of memory cgroup ${i} has kept ${items} items`;
    if (mem.peek(one, MEMCG) !== i) return `the list of memory cgroup ${i} is that of ${mem.peek(one, MEMCG)}`;
  }
  return undefined;
}
/** Gives everything back. @context Task, alone */
export function list_lru_destroy(cpu: Cpu): void {
  const { mem } = cpu;
  const problem = check_list_lru(cpu);
  if (problem !== undefined) bug(cpu, problem);
  const table = mem.xchg(lru_of(cpu), MEMCG_LRUS, NULL);
  if (table === NULL) return;
  for (let i = 0; i < mem.read(table, NR); i++) free_one(cpu, mem.read_once(table, element(LRU, i)));
  kvfree_rcu(cpu, table, TABLE_RCU);
}
