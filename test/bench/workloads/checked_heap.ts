/** A heap for tests of workloads: it notices whoever uses or frees what is not allocated, and what nobody frees. */
import type { Heap } from "../../../bench/workloads/workload.ts";

const GRANULE = 8;

export class CheckedHeap implements Heap {
  /** Bytes of each object that is allocated. */
  readonly live = new Map<number, number>();
  mallocs = 0;
  private readonly words: Int32Array;
  /** By word: the object that it belongs to; 0: none. */
  private readonly owners: Int32Array;
  private readonly freed = new Map<number, number[]>();
  private end = GRANULE;

  constructor(bytes: number) {
    this.words = new Int32Array(bytes >> 2);
    this.owners = new Int32Array(bytes >> 2);
  }
  malloc(bytes: number): number {
    const rounded = Math.ceil(bytes / GRANULE) * GRANULE;
    const object = this.freed.get(rounded)?.pop() ?? this.extend(rounded);
    if (object === 0) return 0;
    this.mallocs++;
    this.live.set(object, rounded);
    this.owners.fill(object, object >> 2, (object + rounded) >> 2);
    return object;
  }
  private extend(bytes: number): number {
    const object = this.end;
    if (object + bytes > this.words.byteLength) return 0;
    this.end += bytes;
    return object;
  }
  free(object: number): void {
    const bytes = this.live.get(object);
    if (bytes === undefined) throw new Error(`${object} is freed, and was not allocated`);
    this.live.delete(object);
    this.owners.fill(0, object >> 2, (object + bytes) >> 2);
    const others = this.freed.get(bytes);
    if (others === undefined) this.freed.set(bytes, [object]);
    else others.push(object);
  }
  load(address: number): number {
    return this.words[this.wordOf(address)];
  }
  store(address: number, word: number): void {
    this.words[this.wordOf(address)] = word;
  }
  private wordOf(address: number): number {
    if (this.owners[address >> 2] === 0) throw new Error(`${address} is used, and is not allocated`);
    return address >> 2;
  }
  between(): void {
    // Nothing is owed.
  }
  usedBytes(): number {
    return this.live.values().reduce((sum, bytes) => sum + bytes, 0);
  }
}
