/**
 * The oracle's own memory: words on a SharedArrayBuffer (oracle_words.ts) that any number of threads attach to, a ticket
 * counter that orders what they see, and, for one thread alone, a way back to an earlier state.
 */
import { type OracleLayout, oracleLayout, W_BYTES, W_CPUS, W_RING, W_TICKET } from "./oracle_words.ts";

export class OracleMemory {
  readonly words: Int32Array;
  readonly layout: OracleLayout;
  /** Of machine memory. */
  readonly bytes: number;
  readonly cpus: number;
  /** Entries of a CPU's ring. */
  readonly ring: number;
  /** (index, old value) of every word written since snapshot(). */
  private journal: number[] | undefined;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
    this.bytes = this.words[W_BYTES];
    this.cpus = this.words[W_CPUS];
    this.ring = this.words[W_RING];
    this.layout = oracleLayout(this.bytes, this.cpus, this.ring);
  }
  static create(bytes: number, cpus: number, ring: number): SharedArrayBuffer {
    const buffer = new SharedArrayBuffer(oracleLayout(bytes, cpus, ring).words * 4);
    const words = new Int32Array(buffer);
    words[W_BYTES] = bytes;
    words[W_CPUS] = cpus;
    words[W_RING] = ring;
    return buffer;
  }

  snapshot(): void {
    this.journal = [];
  }
  restore(): void {
    const { journal, words } = this;
    if (journal === undefined) return;
    for (let n = journal.length - 2; n >= 0; n -= 2) words[journal[n]] = journal[n + 1];
    journal.length = 0;
  }

  load(i: number): number {
    return Atomics.load(this.words, i);
  }
  store(i: number, value: number): void {
    this.journal?.push(i, this.words[i]);
    this.words[i] = value;
  }
  /** @returns the old value. */
  add(i: number, n: number): number {
    this.journal?.push(i, this.words[i]);
    return Atomics.add(this.words, i, n);
  }
  /** Compare and swap. @returns what was found. */
  swap(i: number, expected: number, value: number): number {
    this.journal?.push(i, this.words[i]);
    return Atomics.compareExchange(this.words, i, expected, value);
  }
  /** A ticket, larger than all before it (modulo 2^32). */
  draw(): number {
    return (this.add(W_TICKET, 1) + 1) | 0;
  }

  /** Index of a CPU's block. */
  block(cpu: number): number {
    return this.layout.perCpu + cpu * this.layout.cpuStride;
  }
  /** Index of an object's owner word. */
  owner(address: number): number {
    return this.layout.owners + (address >> 3);
  }
  /** Index of the word that belongs to a request's key. */
  key(address: number): number {
    return this.layout.keys + (address >> 3);
  }
}
