/**
 * Barriers, object by object (spec rcu G-KVB, slub 14 item 10). A deferring free counts from the moment its caller says
 * that it has returned until the object is back on a freelist or in a sheaf. The epoch is the number of barriers begun so
 * far; a barrier may leave no free of an earlier epoch than its own. Counts per epoch tell that quickly; if one is not 0
 * the owner words are looked at, and only they decide. No false alarms: nobody has to wait for what has not returned.
 */
import type { OracleMemory } from "./oracle_memory.ts";
import {
  EPOCH_MASK,
  epochOf,
  ISSUE_BEGUN,
  ISSUE_RETURNED,
  issuerOf,
  issueStateOf,
  returnedWord,
  W_EPOCH,
  W_OUTSTANDING,
} from "./oracle_words.ts";
import { NULL, type Ptr } from "./struct.ts";

/** Epochs further apart than this cannot be compared. */
const EPOCH_WINDOW = EPOCH_MASK >>> 1;

export class FreeWatch {
  private readonly mem: OracleMemory;

  constructor(mem: OracleMemory) {
    this.mem = mem;
  }

  /** CPU `cpu` returns from a free of `object`, which meanwhile may be anything, even in a free by another CPU. */
  returned(cpu: number, object: Ptr): void {
    const { mem } = this;
    const i = mem.owner(object);
    let seen = mem.load(i);
    while (issueStateOf(seen) === ISSUE_BEGUN && issuerOf(seen) === cpu) {
      const epoch = mem.load(W_EPOCH) & EPOCH_MASK;
      mem.add(W_OUTSTANDING + epoch, 1); // Before the word says so: the count is never too small.
      const found = mem.swap(i, seen, returnedWord(seen, epoch));
      if (found === seen) return;
      mem.add(W_OUTSTANDING + epoch, -1); // It has been moved on: look where it is.
      seen = found;
    }
  }
  /** A move has ended the free that this owner word tells of. */
  settled(word: number): void {
    this.mem.add(W_OUTSTANDING + epochOf(word), -1);
  }

  begin(key: Ptr): void {
    this.mem.store(this.mem.key(key), (this.mem.add(W_EPOCH, 1) + 1) | 0);
  }
  /** @returns the barrier's epoch if anything may be overdue. */
  end(key: Ptr): number | undefined {
    const { words } = this.mem;
    const epoch = words[this.mem.key(key)];
    const now = this.mem.load(W_EPOCH);
    if (((now - epoch) | 0) > EPOCH_WINDOW) return undefined; // Too long ago to tell older epochs from newer ones.
    for (let older = 1; older <= EPOCH_WINDOW; older++) {
      if (words[W_OUTSTANDING + ((epoch - older) & EPOCH_MASK)] !== 0) return epoch;
    }
    return undefined;
  }
  /** First object within `bytes` bytes from `base` on whose free is overdue; or NULL. */
  overdue(epoch: number, base: number, bytes: number): Ptr {
    const { words } = this.mem;
    const first = this.mem.owner(0);
    const end = this.mem.owner(base + bytes);
    for (let i = this.mem.owner(base); i < end; i++) {
      const word = words[i];
      if (issueStateOf(word) !== ISSUE_RETURNED) continue;
      const older = (epoch - epochOf(word)) & EPOCH_MASK;
      if (older >= 1 && older <= EPOCH_WINDOW) return ((i - first) << 3) as Ptr;
    }
    return NULL;
  }
}
