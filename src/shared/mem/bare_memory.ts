/**
 * BareMemory: accesses without interruption points, for the heap facade, for boot, and for whoever looks at a stopped
 * machine. The own pending word is honoured only where the caller polls, waits or turns IRQs on.
 */
import type { InterruptSink, Memory } from "./memory.ts";
import { WIDE, type Access, type Field, type Ptr } from "./struct.ts";

/** How long one Atomics.wait may last, ms: a bound on every block, after which the caller looks again. */
export const WAIT_SLICE_MS = 100;

export class BareMemory implements Memory {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly rebuilding = false;
  readonly tracing: boolean;
  readonly checked: boolean;
  protected own: number;
  protected sink: InterruptSink | undefined;

  /**
   * @param pending  the pending word of the CPU that this thread is; 0 if it is none.
   * @param checked  see Memory.
   */
  constructor(buffer: SharedArrayBuffer, pending: number, checked = true) {
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.own = pending >> 2;
    this.tracing = checked;
    this.checked = checked;
  }
  /** Binds the CPU that takes this memory's interrupts. */
  attach(sink: InterruptSink): void {
    this.sink = sink;
  }

  read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>): V {
    return this.words[(p + f) >>> 2] as V;
  }
  write<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>, v: NoInfer<V>): void {
    const i = (p + f) >>> 2;
    this.words[i] = v;
    if (f & WIDE) this.words[i + 1] = 0;
  }
  read_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>): V {
    return Atomics.load(this.words, (p + f) >>> 2) as V;
  }
  write_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): void {
    Atomics.store(this.words, (p + f) >>> 2, v);
  }
  xchg<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): V {
    return Atomics.exchange(this.words, (p + f) >>> 2, v) as V;
  }
  cmpxchg<S extends string, V extends number>(
    p: Ptr<NoInfer<S>>,
    f: Field<S, "atomic", V>,
    expected: NoInfer<V>,
    v: NoInfer<V>,
  ): V {
    return Atomics.compareExchange(this.words, (p + f) >>> 2, expected, v) as V;
  }
  fetch_add<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, n: number): number {
    return Atomics.add(this.words, (p + f) >>> 2, n);
  }
  fetch_or<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    return Atomics.or(this.words, (p + f) >>> 2, bits);
  }
  fetch_and<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number {
    return Atomics.and(this.words, (p + f) >>> 2, bits);
  }
  init<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    const i = (p + f) >>> 2;
    this.words[i] = v;
    if (f & WIDE) this.words[i + 1] = 0;
  }
  data_race_read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    return this.words[(p + f) >>> 2] as V;
  }
  smp_mb(): void {
    // Every atomic step is a full barrier already.
  }

  load_word(address: number): number {
    return this.words[address >>> 2];
  }
  store_word(address: number, v: number): void {
    this.words[address >>> 2] = v;
  }
  load_byte(address: number): number {
    return this.bytes[address];
  }
  store_byte(address: number, v: number): void {
    this.bytes[address] = v;
  }
  fill(address: number, bytes: number, byte: number): void {
    this.bytes.fill(byte, address, address + bytes);
  }
  scan(address: number, bytes: number, byte: number): number {
    const end = address + bytes;
    for (let at = address; at < end; at++) if (this.bytes[at] !== byte) return at;
    return 0;
  }

  peek<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V {
    return this.words[(p + f) >>> 2] as V;
  }
  poke<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void {
    this.words[(p + f) >>> 2] = v;
  }
  static_key<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>): boolean {
    return this.words[(p + f) >>> 2] !== 0;
  }
  count<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>, n: number): void {
    this.words[(p + f) >>> 2] = this.words[(p + f) >>> 2] + n;
  }

  poll(_point: number): void {
    if (this.words[this.own] !== 0) this.sink?.deliver();
  }
  irqs_enabled(): void {
    if (this.words[this.own] !== 0) this.sink?.deliver();
  }
  raise(pending: Ptr<"cpu_pending">, bits: number): void {
    Atomics.or(this.words, pending >> 2, bits);
    Atomics.notify(this.words, pending >> 2);
  }
  take_pending(bits: number): number {
    return Atomics.and(this.words, this.own, ~bits) & bits;
  }
  pending(): number {
    return Atomics.load(this.words, this.own);
  }
  wait(seen: number): void {
    waitForInterrupt(this.words, this.own, seen);
  }
  switch_to(own: number, next: number): void {
    Atomics.store(this.words, next >> 2, 1);
    Atomics.notify(this.words, next >> 2);
    if (own !== 0) this.wait_for_turn(own);
  }
  /** A task waits until it is switched to. Also the first act of its thread. */
  wait_for_turn(own: number): void {
    while (Atomics.compareExchange(this.words, own >> 2, 1, 0) === 0) {
      waitForInterrupt(this.words, own >> 2, 0);
      this.sink?.check_stop?.();
    }
  }
  migrate(_inOperation: boolean): number {
    return -1;
  }
  relax(): void {
    pause();
  }
}

/** The only Atomics.wait of a CPU: a profile tells waiting from work by this name. */
export function waitForInterrupt(words: Int32Array, index: number, seen: number): void {
  Atomics.wait(words, index, seen, WAIT_SLICE_MS);
}

// Atomics.pause exists from Node 24 on.
const atomics: { pause?: () => void } = Atomics;
/** One pause of a spin loop. */
export const pause: () => void = atomics.pause === undefined ? () => undefined : atomics.pause.bind(Atomics);
