/**
 * TracedMemory: the Memory of a CPU under the explorer. Before each step it asks the engine, which may run other CPUs
 * or interrupts right there; while the CPU is being rebuilt it answers from the log instead of touching memory. An
 * access that differs from the recorded one means that the code keeps state outside shared memory: a divergence.
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import type { InterruptSink, Memory } from "../../shared/mem/memory.ts";
import { WIDE, type Access, type Field, type Ptr } from "../../shared/mem/struct.ts";
import type { Engine } from "./engine.ts";
import type { Lane } from "./lane.ts";
import {
  describeAccess,
  FILL,
  INTERRUPT,
  INTERRUPT_AT_ENABLE,
  keyOf,
  LOAD,
  PENDING,
  POLL,
  RAISE,
  RELAX,
  RMW,
  STORE,
  TAKE,
  WAIT,
} from "./log.ts";

/** What an access does to memory, for the shared-word filter. */
const READS = 1;
const WRITES = 2;

export class TracedMemory implements Memory {
  readonly words: Int32Array;
  /** True from the start of a rebuild until the CPU again stands where it was suspended. */
  rebuilding = false;
  readonly lane: Lane;
  private readonly engine: Engine;
  private readonly bytes: Uint8Array;
  private readonly own: number;

  constructor(engine: Engine, lane: Lane, buffer: SharedArrayBuffer, pending: number) {
    this.engine = engine;
    this.lane = lane;
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.own = pending >> 2;
  }
  attach(_sink: InterruptSink): void {
    // The engine delivers interrupts itself.
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
      this.engine.replayInterrupt(this.lane, log.take());
    }
    const key = keyOf(kind, index);
    if (!log.matches(key, stored)) {
      throw new MachineBug(
        this.lane.id,
        `divergence: hidden state outside shared memory. Recorded: ${log.describeNext()}; now: ${describeAccess(key, stored)}`,
      );
    }
    this.lane.result = log.take();
    return true;
  }
  private before(kind: number, index: number, stored: number, effect: number): boolean {
    if (this.rebuilding && this.replayed(kind, index, stored)) return false;
    this.engine.step(this.lane, index, effect);
    return true;
  }
  private load(index: number): number {
    if (!this.before(LOAD, index, 0, READS)) return this.lane.result;
    const v = this.words[index];
    this.lane.watch(index, v);
    this.lane.log.push(keyOf(LOAD, index), v, 0);
    return v;
  }
  private store(index: number, v: number, wide: boolean): void {
    if (!this.before(STORE, index, v, WRITES)) return;
    this.words[index] = v;
    this.engine.touched(index);
    if (wide) this.words[index + 1] = 0;
    this.lane.progress();
    this.lane.log.push(keyOf(STORE, index), 0, v);
  }
  /** A read-modify-write: `next` is what to store if `found` is what was there; undefined: store nothing. */
  private rmw(index: number, operand: number, next: (found: number) => number | undefined): number {
    if (!this.before(RMW, index, operand, READS | WRITES)) return this.lane.result;
    const found = this.words[index];
    const value = next(found);
    if (value === undefined) {
      this.lane.watch(index, found);
    } else {
      this.words[index] = value;
      this.engine.touched(index);
      if ((value | 0) !== found) this.lane.progress();
    }
    this.lane.log.push(keyOf(RMW, index), found, operand);
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
    return this.rmw((p + f) >> 2, v, () => v) as V;
  }
  cmpxchg<S extends string, V extends number>(
    p: Ptr<NoInfer<S>>,
    f: Field<S, "atomic", V>,
    expected: NoInfer<V>,
    v: NoInfer<V>,
  ): V {
    return this.rmw((p + f) >> 2, v, (found) => (found === (expected | 0) ? v : undefined)) as V;
  }
  fetch_add<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, n: number): number {
    return this.rmw((p + f) >> 2, n, (found) => found + n);
  }
  fetch_or<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    return this.rmw((p + f) >> 2, bits, (found) => found | bits);
  }
  fetch_and<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    return this.rmw((p + f) >> 2, bits, (found) => found & bits);
  }
  init<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    this.store((p + f) >> 2, v, (f & WIDE) !== 0);
  }
  data_race_read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    return this.load((p + f) >> 2) as V;
  }
  smp_mb(): void {
    // Execution is sequentially consistent.
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
    if (!this.before(STORE, address >> 2, v, WRITES)) return;
    this.bytes[address] = v;
    this.engine.touched(address >> 2);
    this.lane.progress();
    this.lane.log.push(keyOf(STORE, address >> 2), 0, v);
  }
  fill(address: number, bytes: number, byte: number): void {
    if (!this.before(FILL, address >> 2, bytes, WRITES)) return;
    this.bytes.fill(byte, address, address + bytes);
    for (let i = address >> 2; i < (address + bytes) >> 2; i++) {
      this.engine.touched(i);
      this.engine.noteShared(this.lane, i, WRITES);
    }
    this.lane.progress();
    this.lane.log.push(keyOf(FILL, address >> 2), 0, bytes);
  }

  peek<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    return this.words[(p + f) >> 2] as V;
  }
  poke<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    this.words[(p + f) >> 2] = v;
    this.engine.touched((p + f) >> 2);
  }
  count<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>, n: number): void {
    if (this.rebuilding) return;
    const i = (p + f) >> 2;
    this.words[i] = this.words[i] + n;
    this.engine.touched(i);
  }

  poll(point: number): void {
    if (this.rebuilding && this.replayed(POLL, point, 0)) return;
    this.engine.poll(this.lane, point);
    this.lane.log.push(keyOf(POLL, point), 0, 0);
  }
  irqs_enabled(): void {
    this.replayInterruptsHere();
    if (!this.rebuilding) this.engine.deliverForced(this.lane, INTERRUPT_AT_ENABLE);
  }
  /** Interrupts that were taken at this very place, not before the next access. */
  private replayInterruptsHere(): void {
    const { log } = this.lane;
    while (this.rebuilding && log.nextKind() === INTERRUPT_AT_ENABLE)
      this.engine.replayInterrupt(this.lane, log.take());
  }
  raise(pending: Ptr<"cpu_pending">, bits: number): void {
    const index = pending >> 2;
    if (!this.before(RAISE, index, bits, READS | WRITES)) return;
    this.words[index] = this.words[index] | bits;
    this.engine.touched(index);
    this.lane.progress();
    this.lane.log.push(keyOf(RAISE, index), 0, bits);
  }
  take_pending(bits: number): number {
    if (this.rebuilding && this.replayed(TAKE, this.own, bits)) return this.lane.result;
    const found = this.words[this.own] & bits;
    this.words[this.own] = this.words[this.own] & ~bits;
    this.engine.touched(this.own);
    this.lane.log.push(keyOf(TAKE, this.own), found, bits);
    return found;
  }
  pending(): number {
    if (this.rebuilding && this.replayed(PENDING, this.own, 0)) return this.lane.result;
    const found = this.words[this.own];
    this.lane.log.push(keyOf(PENDING, this.own), found, 0);
    return found;
  }
  wait(seen: number): void {
    if (this.rebuilding && this.replayed(WAIT, this.own, seen)) return;
    this.engine.wait(this.lane, seen);
    this.lane.log.push(keyOf(WAIT, this.own), 0, seen);
  }
  relax(): void {
    if (this.rebuilding && this.replayed(RELAX, 0, 0)) {
      this.replayInterruptsHere();
      return;
    }
    this.engine.relax(this.lane);
    this.lane.log.push(keyOf(RELAX, 0), 0, 0);
    this.engine.deliverAll(this.lane, INTERRUPT_AT_ENABLE);
  }
}
