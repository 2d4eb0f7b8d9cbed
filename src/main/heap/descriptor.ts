/**
 * createHeap(): a heap in one SharedArrayBuffer. What it returns is plain data: it can be posted to any worker, or given
 * as workerData, and each thread that wants to use the heap calls attachHeap() with it.
 *
 * Boot: the kernel of src/shared starts on CPU 0, as a machine does; then all CPUs go idle but for the one that stands for
 * the readers (readers.ts). That one counts as offline: it is no CPU that could run work, and has no objects.
 */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import { MachineBug } from "../../shared/base/verdict.ts";
import { init_cpu_slots } from "../../shared/cpu/boot.ts";
import { ContextTracking } from "../../shared/layout/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { shapeProblem } from "../../shared/layout/map.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuState } from "../../shared/layout/rcu.ts";
import { start_kernel } from "../../shared/linux/init.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { bindHeap } from "./callbacks.ts";
import { Calls } from "./calls.ts";
import { HeapFullError, HeapUsageError } from "./errors.ts";
import { FIRST_CACHE_CLASS, HeapGlobals, HeapMap, type HeapShape, MAX_SLOTS } from "./layout.ts";
import { kill } from "./life.ts";
import { REAPER_TOKEN } from "./owner.ts";
import { forget, watch } from "./reaper.ts";

const { nr_cpus: NR_CPUS, nr_nodes: NR_NODES, seed: SEED, online: ONLINE, rcu_state: RCU_STATE } = Globals.offset;
const { panic_on_warn: PANIC_ON_WARN, poison_free: POISON_FREE } = Globals.offset;
const { ct: CT } = PerCpu.offset;
const { state: CT_STATE, nesting: CT_NESTING } = ContextTracking.offset;
const { stall_timeout: STALL_TIMEOUT } = RcuState.offset;

const VERSION = 1;
/** Byte addresses are 32-bit integers, signed in some places. */
const MAX_TOTAL_BYTES = 0x7fff0000;

export interface HeapOptions {
  /** Memory to allocate from, rounded up to pages. The buffer is an eighth larger, and three quarters with debug. */
  readonly bytes: number;
  /** Threads that can be attached at a time, 1 to 30. */
  readonly cpus: number;
  /** Notes who allocates, misses no double free, fills freed memory with a pattern. Ten to a hundred times slower. */
  readonly debug?: boolean;
}
/** A heap as plain data. */
export interface HeapDescriptor {
  readonly sheafHeap: number;
  readonly buffer: SharedArrayBuffer;
  readonly bytes: number;
  readonly cpus: number;
  readonly debug: boolean;
}

/**
 * Makes a heap. Workers that this thread creates from now on, and that die, are noticed: their slots become free again.
 *
 * @throws HeapUsageError  the options make no sense
 * @throws HeapFullError   the computer has not got that much memory
 */
export function createHeap(options: HeapOptions): HeapDescriptor {
  const { bytes = NaN, cpus = NaN, debug = false } = (options ?? {}) as Partial<HeapOptions>;
  const shape = { bytes: Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE, cpus, debug };
  const problem = problemOf(shape);
  if (problem !== undefined) throw new HeapUsageError(`createHeap(): ${problem}`);
  const map = new HeapMap(shape);
  const buffer = allocate(map.totalBytes);
  boot(hostCalls(buffer, map), debug);
  const descriptor = { sheafHeap: VERSION, buffer, ...shape };
  watch(descriptor);
  return descriptor;
}
/**
 * The heap may no longer be used, by any thread: what needs more than a thread has at hand throws HeapDeadError. (Nothing looks
 * at that on the fast paths, nor in read sections and views.) What this thread kept for it is released.
 */
export function closeHeap(descriptor: HeapDescriptor): void {
  checkDescriptor(descriptor, "closeHeap()");
  const map = new HeapMap(descriptor);
  kill(hostCalls(descriptor.buffer, map).mem, map, "it was closed");
  forget(descriptor);
}
/** For a thread without a slot. Why not a bare memory: a thread that uses two classes of memory is slow ever after. */
function hostCalls(buffer: SharedArrayBuffer, map: HeapMap): Calls {
  return new Calls(buffer, map, REAPER_TOKEN, Infinity);
}
/** @throws HeapUsageError  it is none */
export function checkDescriptor(descriptor: HeapDescriptor, who: string): void {
  const { sheafHeap, buffer } = (descriptor ?? {}) as Partial<HeapDescriptor>;
  if (sheafHeap === VERSION && buffer instanceof SharedArrayBuffer) return;
  throw new HeapUsageError(`${who} needs what createHeap() returned, by this version of the package`);
}

function problemOf(shape: HeapShape): string | undefined {
  const { bytes, cpus } = shape;
  if (!Number.isSafeInteger(bytes) || bytes <= 0) return `bytes must be a number of bytes, not ${bytes}`;
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_SLOTS) return `cpus must be 1 to ${MAX_SLOTS}, not ${cpus}`;
  if (bytes > MAX_TOTAL_BYTES || new HeapMap(shape).totalBytes > MAX_TOTAL_BYTES) {
    return `${bytes} bytes are too many: the whole buffer must be smaller than 2 GiB`;
  }
  return shapeProblem({ bytes, cpus: cpus + 1, nodes: 1 });
}
function allocate(bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new HeapFullError(`createHeap(): the computer has no ${bytes} bytes of memory`, { cause: error });
  }
}

function boot({ map, mem, cpus }: Calls, debug: boolean): void {
  const { machine } = map;
  const { globals } = machine;
  mem.poke(globals, NR_CPUS, machine.shape.cpus);
  mem.poke(globals, NR_NODES, 1);
  mem.poke(globals, SEED, 1);
  mem.poke(globals, PANIC_ON_WARN, 1);
  mem.poke(globals, POISON_FREE, debug ? 1 : 0);
  mem.poke(globals, ONLINE, 2 ** machine.shape.cpus - 1);
  mem.poke(map.globals, HeapGlobals.offset.tags, map.tags);
  mem.poke(map.globals, HeapGlobals.offset.classes_end, FIRST_CACHE_CLASS);
  init_cpu_slots(mem, machine);
  bindHeap();
  try {
    start_kernel(cpus[0]);
  } catch (error) {
    if (!(error instanceof MachineBug)) throw error;
    const what = `${machine.shape.bytes} bytes are too few for ${map.slots} cpus: ${error.message}`;
    throw new HeapUsageError(`createHeap(): ${what}`, { cause: error });
  }
  mem.poke(embedded(globals, RCU_STATE), STALL_TIMEOUT, 0); // Readers are none of its CPUs: stall.ts.
  mem.poke(globals, ONLINE, 2 ** map.slots - 1);
  for (let id = 0; id < map.slots; id++) {
    const ct = embedded(machine.section(id), CT);
    mem.poke(ct, CT_STATE, 0);
    mem.poke(ct, CT_NESTING, 0);
  }
}
