/**
 * A hash map that any number of threads share, on sheaf/heap. Readers take no lock: they walk the chains inside a read
 * section, and what they have found stays until they leave it, whatever writers do meanwhile. Writers take turns.
 *
 *   set      a new node takes the place of the old one, which is retired: a reader sees one or the other, whole
 *   delete   the node is unlinked, then retired; it still leads on for readers that stand on it
 *   resize   a new table with copies of all nodes is published; old table and old nodes are retired
 *
 * Keys and values are 32-bit integers. hash-map-workers.ts runs it on real threads.
 */
import type { Heap, HeapCache } from "../src/main/heap/index.ts";
import { Mutex, type SharedWords } from "../src/shared/sync/index.ts";

/** The map itself, in words: the writers' lock, the table, how many keys there are. */
const TABLE = 2;
const SIZE = 3;
const MAP_BYTES = 16;
/** A table: how many chains, then the first node of each. */
const CHAINS = 0;
const FIRST_CHAIN = 1;
/** A node. */
const NEXT = 0;
const KEY = 1;
const VALUE = 2;
const NODE_BYTES = 12;

const FEWEST_CHAINS = 8;
/** Keys per chain, on average, above which the table grows. */
const LOAD = 2;

export class SharedMap {
  /** Give it to SharedMap.at() on another thread. */
  readonly address: number;
  private readonly heap: Heap;
  private readonly words: Int32Array;
  private readonly nodes: HeapCache;
  private readonly lock: SharedWords;

  private constructor(heap: Heap, address: number, lock: SharedWords) {
    this.heap = heap;
    this.address = address;
    this.lock = lock;
    this.words = heap.i32;
    this.nodes = heap.cache({ name: "hash map node", size: NODE_BYTES });
  }
  static create(heap: Heap): SharedMap {
    const address = heap.calloc(1, MAP_BYTES);
    const map = new SharedMap(heap, address, Mutex.init(heap.buffer, address));
    map.write(map.word(TABLE), map.newTable(FEWEST_CHAINS));
    return map;
  }
  static at(heap: Heap, address: number): SharedMap {
    return new SharedMap(heap, address, Mutex.at(heap.buffer, address));
  }

  get size(): number {
    return this.load(this.word(SIZE));
  }
  get(key: number): number | undefined {
    return this.heap.read(() => {
      let node = this.load(this.chain(this.load(this.word(TABLE)), key));
      while (node !== 0 && this.load((node >> 2) + KEY) !== key) node = this.load((node >> 2) + NEXT);
      return node === 0 ? undefined : this.load((node >> 2) + VALUE);
    });
  }
  /** Calls `visit` for each key that is there all the time, and for some of those that come or go meanwhile. */
  forEach(visit: (key: number, value: number) => void): void {
    this.heap.read(() => {
      for (const node of this.nodesOf(this.load(this.word(TABLE)))) {
        visit(this.load((node >> 2) + KEY), this.load((node >> 2) + VALUE));
      }
    });
  }
  set(key: number, value: number): void {
    this.exclusively(() => {
      const link = this.find(this.load(this.word(TABLE)), key);
      const old = this.load(link);
      const next = old === 0 ? 0 : this.load((old >> 2) + NEXT);
      this.write(link, this.newNode(next, key, value)); // From here on readers find it, and it is complete.
      if (old !== 0) this.nodes.retire(old);
      else this.grow(this.size + 1);
    });
  }
  delete(key: number): boolean {
    return this.exclusively(() => {
      const link = this.find(this.load(this.word(TABLE)), key);
      const old = this.load(link);
      if (old === 0) return false;
      this.write(link, this.load((old >> 2) + NEXT));
      this.write(this.word(SIZE), this.size - 1);
      this.nodes.retire(old);
      return true;
    });
  }
  /** Frees all of it. Nobody may use it any more. */
  destroy(): void {
    const table = this.load(this.word(TABLE));
    for (const node of this.nodesOf(table)) this.nodes.free(node);
    this.heap.free(table);
    this.heap.free(this.address);
  }

  private exclusively<T>(write: () => T): T {
    Mutex.lock(this.lock, this.heap.slot + 1);
    try {
      return write();
    } finally {
      Mutex.unlock(this.lock, this.heap.slot + 1);
    }
  }
  /** Index of the word that leads to the chain in which `key` is, if it is anywhere. */
  private chain(table: number, key: number): number {
    const chains = this.load((table >> 2) + CHAINS);
    return (table >> 2) + FIRST_CHAIN + ((Math.imul(key, 0x9e3779b1) >>> 16) % chains);
  }
  /**
   * Index of the word that leads to the node of `key`, or of the 0 at the end of its chain. For writers: a reader who
   * loads that word afterwards may find another node there.
   */
  private find(table: number, key: number): number {
    let link = this.chain(table, key);
    for (let node = this.load(link); node !== 0 && this.load((node >> 2) + KEY) !== key; node = this.load(link)) {
      link = (node >> 2) + NEXT;
    }
    return link;
  }
  private *nodesOf(table: number): Generator<number> {
    const chains = this.load((table >> 2) + CHAINS);
    for (let chain = 0; chain < chains; chain++) {
      let node = this.load((table >> 2) + FIRST_CHAIN + chain);
      while (node !== 0) {
        const next = this.load((node >> 2) + NEXT);
        yield node;
        node = next;
      }
    }
  }
  private newTable(chains: number): number {
    const table = this.heap.calloc(FIRST_CHAIN + chains, 4);
    this.write((table >> 2) + CHAINS, chains);
    return table;
  }
  private newNode(next: number, key: number, value: number): number {
    const node = this.nodes.alloc();
    this.words.set([next, key, value], node >> 2);
    return node;
  }
  private grow(size: number): void {
    this.write(this.word(SIZE), size);
    const old = this.load(this.word(TABLE));
    const chains = this.load((old >> 2) + CHAINS);
    if (size <= LOAD * chains) return;
    const table = this.newTable(2 * chains);
    const nodes = [...this.nodesOf(old)];
    for (const node of nodes) {
      const [, key, value] = this.words.subarray(node >> 2, (node >> 2) + 3);
      this.write(this.find(table, key), this.newNode(0, key, value));
    }
    this.write(this.word(TABLE), table);
    for (const node of nodes) this.nodes.retire(node);
    this.heap.retire(old);
  }

  private word(field: number): number {
    return (this.address >> 2) + field;
  }
  // Links are read while others change them: atomic, so that who finds a node finds what is in it, too.
  private load(word: number): number {
    return Atomics.load(this.words, word);
  }
  private write(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }
}
