/**
 * InterruptibleMemory: every step first polls the CPU's pending word by a plain load (0.2 ns; an Atomics.load would
 * cost 10) and counts down to the next event of the local source (src/nmi/local_source.ts). Used by torture.
 */
import { BareMemory, pause, waitForInterrupt } from "./bare_memory.ts";
import { WIDE, type Access, type Field, type Ptr } from "./struct.ts";

/** No point is armed. */
export const NO_POINT = -1;
/** Steps after which nothing happens. */
const NEVER = 0x3fffffff;

/** Raises interrupts or noise of its own every so many steps. */
export interface StepSource {
  /** Called when the countdown has run out, between two steps. @returns steps until the next call, at least 1. */
  expired(): number;
  /** Called at each visit of the armed point. @returns the point that is armed from now on, or NO_POINT. */
  visited(point: number): number;
}

/** Finds another CPU for the task (src/workers/migrator.ts). */
export interface Migrator {
  /** @param inOperation  see Memory.migrate(). @returns its number and its pending word, or undefined: the task stays. */
  exchange(inOperation: boolean): { readonly cpu: number; readonly pending: Ptr<"cpu_pending"> } | undefined;
}

export class InterruptibleMemory extends BareMemory {
  /**
   * Steps left until source.expired(). Why not a field: each step waits for the one before it to have counted, and a
   * field is untagged and tagged again meanwhile. Why shared: V8 moves small arrays that are not.
   */
  private readonly steps = new Int32Array(new SharedArrayBuffer(4)).fill(NEVER);
  private source: StepSource | undefined;
  private armedPoint = NO_POINT;
  private migrator: Migrator | undefined;

  /** Starts a local source. @param first  steps until its first event. @param point  armed point, or NO_POINT. */
  attachSource(source: StepSource, first: number, point: number): void {
    this.source = source;
    this.steps[0] = first;
    this.armedPoint = point;
  }

  attachMigrator(migrator: Migrator): void {
    this.migrator = migrator;
  }

  private trap(): void {
    if (this.steps[0] <= 0) this.steps[0] = this.source?.expired() ?? NEVER;
    if (this.words[this.own] !== 0) this.sink?.deliver();
  }

  override read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>): V {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return this.words[(p + f) >>> 2] as V;
  }
  override write<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>, v: NoInfer<V>): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    const i = (p + f) >>> 2;
    this.words[i] = v;
    if (f & WIDE) this.words[i + 1] = 0;
  }
  override read_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>): V {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return Atomics.load(this.words, (p + f) >>> 2) as V;
  }
  override write_once<S extends string, V extends number>(
    p: Ptr<NoInfer<S>>,
    f: Field<S, "atomic", V>,
    v: NoInfer<V>,
  ): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    Atomics.store(this.words, (p + f) >>> 2, v);
  }
  override xchg<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): V {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return Atomics.exchange(this.words, (p + f) >>> 2, v) as V;
  }
  override cmpxchg<S extends string, V extends number>(
    p: Ptr<NoInfer<S>>,
    f: Field<S, "atomic", V>,
    expected: NoInfer<V>,
    v: NoInfer<V>,
  ): V {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return Atomics.compareExchange(this.words, (p + f) >>> 2, expected, v) as V;
  }
  override fetch_add<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, n: number): number {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return Atomics.add(this.words, (p + f) >>> 2, n);
  }
  override fetch_or<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return Atomics.or(this.words, (p + f) >>> 2, bits);
  }
  override fetch_and<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return Atomics.and(this.words, (p + f) >>> 2, bits);
  }
  override init<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    const i = (p + f) >>> 2;
    this.words[i] = v;
    if (f & WIDE) this.words[i + 1] = 0;
  }
  override data_race_read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return this.words[(p + f) >>> 2] as V;
  }

  override load_word(address: number): number {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return this.words[address >>> 2];
  }
  override store_word(address: number, v: number): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    this.words[address >>> 2] = v;
  }
  override load_byte(address: number): number {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return this.bytes[address];
  }
  override store_byte(address: number, v: number): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    this.bytes[address] = v;
  }
  override fill(address: number, bytes: number, byte: number): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    this.bytes.fill(byte, address, address + bytes);
  }
  override scan(address: number, bytes: number, byte: number): number {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    return super.scan(address, bytes, byte);
  }

  override poll(point: number): void {
    if (point === this.armedPoint) this.armedPoint = this.source?.visited(point) ?? NO_POINT;
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
  }
  override raise(pending: Ptr<"cpu_pending">, bits: number): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    Atomics.or(this.words, pending >> 2, bits);
    Atomics.notify(this.words, pending >> 2);
  }
  override wait(seen: number): void {
    if (--this.steps[0] <= 0) this.trap();
    waitForInterrupt(this.words, this.own, seen);
  }
  override migrate(inOperation: boolean): number {
    const got = this.migrator?.exchange(inOperation);
    if (got === undefined) return -1;
    this.own = got.pending >> 2;
    return got.cpu;
  }
  override relax(): void {
    if (--this.steps[0] <= 0 || this.words[this.own] !== 0) this.trap();
    pause();
  }
}
