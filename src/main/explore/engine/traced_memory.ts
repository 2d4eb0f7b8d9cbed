/**
 * TracedMemory: the Memory of a CPU under the explorer. Before each step it asks the scheduler, which may run other CPUs
 * or interrupts right there; while the CPU is being rebuilt it answers from the log instead of touching memory. An
 * access that differs from the recorded one means that the code keeps state outside shared memory: a divergence.
 */
import { MachineBug } from "../../../shared/base/verdict.ts";
import type { InterruptSink, Memory } from "../../../shared/mem/memory.ts";
import { WIDE, type Access, type Field, type Ptr } from "../../../shared/mem/struct.ts";
import type { Lane } from "./lane.ts";
import {
  describeAccess,
  FENCE,
  FILL,
  INTERRUPT,
  INTERRUPT_AT_ENABLE,
  INTERRUPT_AT_RELAX,
  keyOf,
  LOAD,
  PENDING,
  POLL,
  RAISE,
  RELAX,
  RMW,
  STATIC_KEY,
  STORE,
  MIGRATED,
  SWITCHED,
  TAKE,
  WAIT,
} from "./log.ts";
import type { MachineMemory } from "./machine_memory.ts";
import type { Scheduler } from "./scheduler.ts";
import { append, isFull, newest, valueAt } from "./store_buffer.ts";
import { READS, WRITES } from "../strategy.ts";

// Read-modify-writes.
const XCHG = 0;
const CMPXCHG = 1;
const ADD = 2;
const OR = 3;
const AND = 4;

export class TracedMemory implements Memory {
  readonly words: Int32Array;
  /** True from the start of a rebuild until the CPU again stands where it was suspended. */
  rebuilding = false;
  readonly tracing = false;
  readonly checked = true;
  readonly lane: Lane;
  private readonly scheduler: Scheduler;
  private readonly memory: MachineMemory;
  private readonly buffersStores: boolean;

  constructor(scheduler: Scheduler, lane: Lane) {
    this.scheduler = scheduler;
    this.lane = lane;
    this.memory = scheduler.memory;
    this.words = scheduler.memory.words;
    this.buffersStores = scheduler.limits.model !== "sc";
  }
  attach(_sink: InterruptSink): void {
    // The scheduler delivers interrupts itself.
  }

  /** Replays the next entry if there is one. @returns true if the access is answered by the log (lane.result). */
  private replayed(kind: number, index: number, stored: number): boolean {
    const { log } = this.lane;
    for (;;) {
      const next = log.nextKind();
      if (next === 0) {
        this.rebuilding = false;
        return false;
      }
      if (next !== INTERRUPT) break;
      this.scheduler.runInterrupt(this.lane, log.take());
      if (!this.rebuilding) return false; // The lane had been suspended in it, and it ended live.
    }
    const key = keyOf(kind, index);
    if (!log.matches(key, stored)) {
      throw new MachineBug(
        this.lane.cpu,
        `divergence: hidden state outside shared memory. Recorded: ${log.describeNext()}; now: ${describeAccess(key, stored)}`,
      );
    }
    this.lane.result = log.take();
    return true;
  }
  private load(index: number): number {
    if (this.rebuilding && this.replayed(LOAD, index, 0)) return this.lane.result;
    const { lane, scheduler } = this;
    scheduler.step(lane, index, READS);
    const v = this.buffersStores ? this.forwarded(index) : this.words[index];
    lane.log.push(keyOf(LOAD, index), v, 0, this.words[index]); // What others see: its own store may be on the way.
    if (scheduler.observed) scheduler.accessed(lane, LOAD, index, v, v, true);
    return v;
  }
  /** A word as this CPU sees it: its own buffered stores first. */
  private forwarded(index: number): number {
    const n = newest(this.lane, index);
    return n === -1 ? this.words[index] : valueAt(this.lane, n);
  }
  private store(index: number, v: number, wide: boolean): void {
    if (this.rebuilding && this.replayed(STORE, index, v)) return;
    const { lane, scheduler } = this;
    scheduler.step(lane, index, WRITES);
    const before = this.words[index];
    const buffered = this.buffersStores && !scheduler.solo;
    if (buffered) {
      this.buffer(index, v);
      if (wide && this.forwarded(index + 1) !== 0) this.buffer(index + 1, 0);
    } else {
      this.memory.set(index, v);
      if (wide && this.words[index + 1] !== 0) this.memory.set(index + 1, 0);
    }
    lane.log.push(keyOf(STORE, index), 0, v, this.words[index]);
    if (scheduler.observed) scheduler.accessed(lane, STORE, index, before, v | 0, !buffered);
  }
  private buffer(index: number, v: number): void {
    if (isFull(this.lane)) this.scheduler.drain(this.lane, 0);
    append(this.lane, index, v);
  }
  private rmw(operation: number, index: number, operand: number, expected: number): number {
    if (this.rebuilding && this.replayed(RMW, index, operand)) return this.lane.result;
    const { lane, scheduler } = this;
    scheduler.step(lane, index, READS | WRITES);
    if (this.buffersStores) scheduler.drainAll(lane);
    const found = this.words[index];
    let value = operand | 0;
    if (operation === CMPXCHG) value = found === (expected | 0) ? value : found;
    else if (operation === ADD) value = (found + operand) | 0;
    else if (operation === OR) value = found | operand;
    else if (operation === AND) value = found & operand;
    if (value !== found) this.memory.set(index, value);
    lane.log.push(keyOf(RMW, index), found, operand, value);
    if (scheduler.observed) scheduler.accessed(lane, RMW, index, found, value, true);
    return found;
  }

  read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>): V {
    return this.load((p + f) >> 2) as V;
  }
  write<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>, v: NoInfer<V>): void {
    this.store((p + f) >> 2, v, (f & WIDE) !== 0);
  }
  read_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>): V {
    return this.load((p + f) >> 2) as V;
  }
  write_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): void {
    this.store((p + f) >> 2, v, false);
  }
  xchg<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): V {
    return this.rmw(XCHG, (p + f) >> 2, v, 0) as V;
  }
  cmpxchg<S extends string, V extends number>(
    p: Ptr<NoInfer<S>>,
    f: Field<S, "atomic", V>,
    expected: NoInfer<V>,
    v: NoInfer<V>,
  ): V {
    return this.rmw(CMPXCHG, (p + f) >> 2, v, expected) as V;
  }
  fetch_add<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, n: number): number {
    return this.rmw(ADD, (p + f) >> 2, n, 0);
  }
  fetch_or<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    return this.rmw(OR, (p + f) >> 2, bits, 0);
  }
  fetch_and<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    return this.rmw(AND, (p + f) >> 2, bits, 0);
  }
  init<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    this.store((p + f) >> 2, v, (f & WIDE) !== 0);
  }
  data_race_read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    return this.load((p + f) >> 2) as V;
  }
  smp_mb(): void {
    if (this.buffersStores) this.fence();
  }
  /** A step only where there is a buffer. */
  private fence(): void {
    if (this.rebuilding && this.replayed(FENCE, 0, 0)) return;
    this.scheduler.fence(this.lane);
    this.lane.log.push(keyOf(FENCE, 0), 0, 0);
  }

  load_word(address: number): number {
    return this.load(address >> 2);
  }
  store_word(address: number, v: number): void {
    this.store(address >> 2, v, false);
  }
  load_byte(address: number): number {
    return (this.load(address >> 2) >>> ((address & 3) * 8)) & 0xff;
  }
  store_byte(address: number, v: number): void {
    const index = address >> 2;
    if (this.rebuilding && this.replayed(STORE, index, v)) return;
    const { lane, scheduler } = this;
    scheduler.step(lane, index, WRITES);
    const before = this.words[index];
    const shift = (address & 3) * 8;
    const old = this.buffersStores ? this.forwarded(index) : before;
    const after = (old & ~(0xff << shift)) | ((v & 0xff) << shift);
    const buffered = this.buffersStores && !scheduler.solo;
    if (buffered)
      this.buffer(index, after); // A buffer holds whole words.
    else this.memory.set(index, after);
    lane.log.push(keyOf(STORE, index), 0, v, this.words[index]);
    if (scheduler.observed) scheduler.accessed(lane, STORE, index, before, after, !buffered);
  }
  fill(address: number, bytes: number, byte: number): void {
    const index = address >> 2;
    if (this.rebuilding && this.replayed(FILL, index, bytes)) return;
    const { lane, scheduler } = this;
    if (scheduler.sharesAny(lane, index, (address + bytes + 3) >> 2)) scheduler.stepAside(lane);
    else scheduler.step(lane, index, WRITES);
    if (this.buffersStores) scheduler.drainAll(lane);
    const before = this.words[index];
    this.memory.fill(address, bytes, byte);
    lane.log.push(keyOf(FILL, index), 0, bytes);
    if (scheduler.observed) scheduler.accessed(lane, FILL, index, before, this.words[index], true);
  }
  scan(address: number, bytes: number, byte: number): number {
    const index = address >> 2;
    if (this.rebuilding && this.replayed(LOAD, index, 0)) return this.lane.result;
    const { lane, scheduler } = this;
    if (scheduler.sharesAny(lane, index, (address + bytes + 3) >> 2, READS)) scheduler.stepAside(lane);
    else scheduler.step(lane, index, READS);
    let found = 0;
    for (let at = address; found === 0 && at < address + bytes; at++) {
      const word = this.buffersStores ? this.forwarded(at >> 2) : this.words[at >> 2];
      if (((word >>> ((at & 3) * 8)) & 0xff) !== byte) found = at;
    }
    lane.log.push(keyOf(LOAD, index), found, 0, this.words[index]);
    if (scheduler.observed) scheduler.accessed(lane, LOAD, index, this.words[index], this.words[index], true);
    return found;
  }

  peek<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    const index = (p + f) >> 2;
    return (this.buffersStores ? this.forwarded(index) : this.words[index]) as V;
  }
  poke<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    const index = (p + f) >> 2;
    // A rebuild restores the slot; other words have been written, and others may have written them since.
    if (!this.rebuilding || this.lane.inSlot(index)) this.memory.poke(index, v);
  }
  static_key<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>): boolean {
    const index = (p + f) >> 2;
    const { log } = this.lane;
    if (this.rebuilding) {
      // It was off unless the log says so: what was suspended next, or what interrupted, came later.
      const was_on = log.nextKind() === STATIC_KEY && log.matches(keyOf(STATIC_KEY, index), 0);
      if (was_on) log.take();
      return was_on;
    }
    const on = (this.buffersStores ? this.forwarded(index) : this.words[index]) !== 0;
    if (on) log.push(keyOf(STATIC_KEY, index), 1, 0);
    return on;
  }
  count<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>, n: number): void {
    if (!this.rebuilding) this.memory.count((p + f) >> 2, n);
  }

  poll(point: number): void {
    if (this.rebuilding && this.replayed(POLL, point, 0)) return;
    this.scheduler.poll(this.lane, point);
    this.lane.log.push(keyOf(POLL, point), 0, 0);
  }
  irqs_enabled(): void {
    this.replayInterruptsHere(INTERRUPT_AT_ENABLE);
    if (!this.rebuilding) this.scheduler.deliverForced(this.lane, INTERRUPT_AT_ENABLE);
  }
  /** Interrupts that were taken at this very place, not before the next access. */
  private replayInterruptsHere(kind: number): void {
    const { log } = this.lane;
    while (this.rebuilding && log.nextKind() === kind) this.scheduler.runInterrupt(this.lane, log.take());
  }
  raise(pending: Ptr<"cpu_pending">, bits: number): void {
    const index = pending >> 2;
    if (this.rebuilding && this.replayed(RAISE, index, bits)) return;
    const { lane, scheduler } = this;
    scheduler.stepAside(lane);
    if (this.buffersStores) scheduler.drainAll(lane);
    scheduler.endQuiet();
    const before = this.words[index];
    this.memory.set(index, before | bits);
    lane.log.push(keyOf(RAISE, index), 0, bits);
    if (scheduler.observed) scheduler.accessed(lane, RAISE, index, before, before | bits, true);
  }
  take_pending(bits: number): number {
    if (this.buffersStores) this.fence();
    if (this.rebuilding && this.replayed(TAKE, this.lane.pending, bits)) return this.lane.result;
    const found = this.words[this.lane.pending] & bits;
    if (found !== 0) this.memory.set(this.lane.pending, this.words[this.lane.pending] & ~bits);
    this.lane.log.push(keyOf(TAKE, this.lane.pending), found, bits);
    return found;
  }
  pending(): number {
    if (this.rebuilding && this.replayed(PENDING, this.lane.pending, 0)) return this.lane.result;
    const found = this.words[this.lane.pending];
    this.lane.log.push(keyOf(PENDING, this.lane.pending), found, 0);
    return found;
  }
  wait(seen: number): void {
    if (this.rebuilding && this.replayed(WAIT, this.lane.pending, seen)) return;
    this.scheduler.wait(this.lane, seen);
    this.lane.log.push(keyOf(WAIT, this.lane.pending), 0, seen);
  }
  switch_to(own: number, next: number): void {
    if (this.rebuilding && this.replayed(SWITCHED, 0, next)) {
      this.lane.repeatReturn();
      return;
    }
    this.scheduler.leaveCpu(this.lane, own !== 0);
    this.lane.noteReturn();
    this.lane.log.push(keyOf(SWITCHED, 0), this.memory.hashing ? this.lane.hashOfSlot() : 0, next);
  }
  migrate(_inOperation: boolean): number {
    if (this.rebuilding && this.replayed(MIGRATED, 0, 0)) {
      if (this.lane.result >= 0) this.lane.repeatMigration();
      return this.lane.result;
    }
    const cpu = this.scheduler.migrate(this.lane);
    this.lane.log.push(keyOf(MIGRATED, 0), cpu, 0);
    return cpu;
  }
  relax(): void {
    if (this.rebuilding && this.replayed(RELAX, 0, 0)) {
      this.replayInterruptsHere(INTERRUPT_AT_RELAX);
      if (!this.rebuilding) this.scheduler.deliverAll(this.lane, INTERRUPT_AT_RELAX);
      return;
    }
    this.scheduler.relax(this.lane);
    this.lane.log.push(keyOf(RELAX, 0), 0, 0);
    this.scheduler.deliverAll(this.lane, INTERRUPT_AT_RELAX);
  }
}
