/**
 * Charging: a cgroup pays for pages, objects take bytes, and each CPU keeps the bytes that are left over, for one objcg.
 * mm/memcontrol.c; spec rcu 3.5, slub B24.
 *
 *   charge     from the stock; or whole pages are charged, and what is too much goes into the stock
 *   uncharge   into the stock, if it is of this objcg; else that one is drained first
 *   drain      whole pages are uncharged, other bytes go to objcg->nr_charged_bytes; the stock's reference is put
 *
 * A stock has a local_trylock, which is only tried: an NMI on top of the holder uses nr_charged_bytes, which is atomic. To
 * drain may put the last reference, which waits for a lock; so nolock code leaves a stock of another objcg alone and uses
 * nr_charged_bytes, too. Differs: the kernel drains there (B24); KB_OBJCG_SPIN restores that.
 *
 * All bytes of an objcg are in its objects, in stocks and in nr_charged_bytes; their sum is the pages charged.
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { CB } from "../../../layout/callbacks.ts";
import { MemcgState, ObjCgroup, ObjStock } from "../../../layout/debug_memcg.ts";
import { CpuSlot } from "../../../layout/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { flush_work, init_work, queue_work_on } from "../../kernel/workqueue.ts";
import { local_lock, local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import {
  memcg_state,
  obj_cgroup_get,
  obj_cgroup_put,
  obj_stock,
  page_counter_charge,
  page_counter_try_charge,
  page_counter_uncharge,
  spins_anyway,
} from "./objcg.ts";

const { online: ONLINE } = Globals.offset;
const { slot: SLOT } = PerCpu.offset;
const { id: ID } = CpuSlot.offset;
const { percpu_charge_mutex: PERCPU_CHARGE_MUTEX } = MemcgState.offset;
const { nr_charged_bytes: NR_CHARGED_BYTES } = ObjCgroup.offset;
const {
  lock: LOCK,
  cached_objcg: CACHED_OBJCG,
  nr_bytes: NR_BYTES,
  drain_work: DRAIN_WORK,
  nr_failed: NR_FAILED,
  nr_bypassed: NR_BYPASSED,
} = ObjStock.offset;

type Objcg = Ptr<"obj_cgroup">;
type Stock = Ptr<"obj_stock">;

/**
 * obj_cgroup_charge() - `size` bytes for an object.
 * @kernel  mm/memcontrol.c
 * @param   force  __GFP_NOFAIL: past the limit if need be.
 * @returns false: the limit is reached.
 * @context Any without allow_spin, else Hardirq.
 */
export function obj_cgroup_charge(cpu: Cpu, objcg: Objcg, size: number, allow_spin: boolean, force = false): boolean {
  if (consume_obj_stock(cpu, objcg, size)) return true;
  const nr_pages = Math.ceil(size / PAGE_SIZE);
  if (force) {
    page_counter_charge(cpu, nr_pages);
  } else if (!page_counter_try_charge(cpu, nr_pages)) {
    cpu.mem.count(obj_stock(cpu, cpu.id), NR_FAILED, 1);
    return false;
  }
  const rest = nr_pages * PAGE_SIZE - size;
  if (rest !== 0) refill_obj_stock(cpu, objcg, rest, false, allow_spin);
  return true;
}
/** The bytes of an object are free. @kernel mm/memcontrol.c @context as obj_cgroup_charge() */
export function obj_cgroup_uncharge(cpu: Cpu, objcg: Objcg, size: number, allow_spin: boolean): void {
  refill_obj_stock(cpu, objcg, size, true, allow_spin);
}

/** Takes bytes from this CPU's stock. @kernel mm/memcontrol.c @returns false: it has too few, or is busy. @context Any */
function consume_obj_stock(cpu: Cpu, objcg: Objcg, size: number): boolean {
  const { mem } = cpu;
  const stock = obj_stock(cpu, cpu.id);
  if (!local_trylock(cpu, embedded(stock, LOCK))) return false;
  const nr_bytes = mem.read(stock, NR_BYTES);
  const enough = mem.read(stock, CACHED_OBJCG) === objcg && nr_bytes >= size;
  if (enough) mem.write(stock, NR_BYTES, nr_bytes - size);
  local_unlock(cpu, embedded(stock, LOCK));
  return enough;
}

/**
 * refill_obj_stock() - put bytes into this CPU's stock.
 * @kernel  mm/memcontrol.c
 * @param   allow_uncharge  give pages back if there are enough bytes for some.
 * @context Any without allow_spin, else Hardirq.
 */
function refill_obj_stock(cpu: Cpu, objcg: Objcg, bytes: number, allow_uncharge: boolean, allow_spin: boolean): void {
  const { mem } = cpu;
  const stock = obj_stock(cpu, cpu.id);
  if (!local_trylock(cpu, embedded(stock, LOCK))) {
    bypass(cpu, objcg, bytes);
    return;
  }
  const may_drain = allow_spin || spins_anyway(cpu);
  const cached = mem.read(stock, CACHED_OBJCG);
  const ours = cached === objcg;
  if (!ours && cached !== NULL && !may_drain) {
    local_unlock(cpu, embedded(stock, LOCK));
    bypass(cpu, objcg, bytes);
    return;
  }
  if (!ours) {
    drain_obj_stock(cpu, stock);
    obj_cgroup_get(cpu, objcg);
    mem.write(stock, CACHED_OBJCG, objcg);
    mem.write(stock, NR_BYTES, mem.xchg(objcg, NR_CHARGED_BYTES, 0));
  }
  let nr_bytes = mem.read(stock, NR_BYTES) + bytes;
  let nr_pages = 0;
  if ((allow_uncharge || !ours) && nr_bytes > PAGE_SIZE) {
    nr_pages = nr_bytes >> PAGE_SHIFT;
    nr_bytes &= PAGE_SIZE - 1;
  }
  mem.write(stock, NR_BYTES, nr_bytes);
  local_unlock(cpu, embedded(stock, LOCK));
  if (nr_pages !== 0) page_counter_uncharge(cpu, nr_pages);
  if (!ours && cached !== NULL) obj_cgroup_put(cpu, cached, may_drain);
}
/** The stock cannot be used: the bytes wait in the objcg until some stock takes them, or the release. */
function bypass(cpu: Cpu, objcg: Objcg, bytes: number): void {
  cpu.mem.count(obj_stock(cpu, cpu.id), NR_BYPASSED, 1);
  if (bytes >= PAGE_SIZE) page_counter_uncharge(cpu, bytes >> PAGE_SHIFT);
  cpu.mem.fetch_add(objcg, NR_CHARGED_BYTES, bytes & (PAGE_SIZE - 1));
}

/**
 * drain_obj_stock() - empty a stock whose lock is held.
 * @kernel  mm/memcontrol.c
 * @returns whose it was: the caller puts the reference, once the lock is released. NULL: nobody's.
 * @context Any
 */
function drain_obj_stock(cpu: Cpu, stock: Stock): Objcg {
  const { mem } = cpu;
  const old = mem.read(stock, CACHED_OBJCG);
  if (old === NULL) return NULL;
  const nr_bytes = mem.read(stock, NR_BYTES);
  if (nr_bytes >= PAGE_SIZE) page_counter_uncharge(cpu, nr_bytes >> PAGE_SHIFT);
  mem.fetch_add(old, NR_CHARGED_BYTES, nr_bytes & (PAGE_SIZE - 1));
  mem.write(stock, NR_BYTES, 0);
  mem.write(stock, CACHED_OBJCG, NULL);
  return old;
}

/**
 * The work item of drain_all_stock(). Queued for a CPU that has gone offline since it runs elsewhere, and drains what is
 * there: the other stock has been drained by who took the CPU down.
 * @kernel mm/memcontrol.c @context Task: work item
 */
export function drain_local_obj_stock(cpu: Cpu): void {
  const stock = obj_stock(cpu, cpu.id);
  local_lock(cpu, embedded(stock, LOCK));
  const old = drain_obj_stock(cpu, stock);
  local_unlock(cpu, embedded(stock, LOCK));
  if (old !== NULL) obj_cgroup_put(cpu, old, true);
}
/** Empties the stocks of all CPUs. @kernel mm/memcontrol.c @context Task, may sleep. */
export function drain_all_stock(cpu: Cpu): void {
  const mutex = embedded(memcg_state(cpu), PERCPU_CHARGE_MUTEX);
  mutex_lock(cpu, mutex);
  const online = cpu.mem.read_once(cpu.globals, ONLINE);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if ((online & (1 << id)) === 0) continue;
    const work = embedded(obj_stock(cpu, id), DRAIN_WORK);
    init_work(cpu, work, CB.drain_local_obj_stock);
    queue_work_on(cpu, id, work);
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if ((online & (1 << id)) !== 0) flush_work(cpu, embedded(obj_stock(cpu, id), DRAIN_WORK));
  }
  mutex_unlock(cpu, mutex);
}
/** memcg_hotplug_cpu_dead() - empties the stock of a CPU that is gone. @kernel mm/memcontrol.c @context Task, may sleep */
export function memcg_hotplug_cpu_dead(cpu: Cpu, section: Ptr<"percpu">): void {
  if (memcg_state(cpu) === NULL) return;
  const dead = cpu.mem.peek(embedded(section, SLOT), ID);
  const old = drain_obj_stock(cpu, obj_stock(cpu, dead));
  if (old !== NULL) obj_cgroup_put(cpu, old, true);
}
