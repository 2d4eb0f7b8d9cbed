/**
 * SharedOracle: the oracle of torture and explorer, on a SharedArrayBuffer of its own. Any number of threads attach.
 *
 *   places      here: each move is a compare-and-swap of the object's owner word (oracle_words.ts)
 *   biography   oracle_biography.ts
 *   readers     oracle_readers.ts
 *   barriers    oracle_barriers.ts
 *
 * Never a false alarm: a caller reports a move while the object is its own, before others can find it in its new place
 * or after they can no more find it in the old one.
 *
 * Why a ticket counter that all CPUs share, although drawing from it is a full barrier: so is the compare-and-swap of
 * each move, and each move stands next to atomic operations of the kernel code. It costs a quarter of a move.
 */
import {
  O_FREELIST,
  O_NAMES,
  O_NONE,
  O_SHEAF,
  O_TRANSIT,
  O_USER,
  type Oracle,
  type OracleEvent,
  type OracleFault,
} from "./oracle.ts";
import { FreeWatch } from "./oracle_barriers.ts";
import { biographyOf, recordMove, slabOf } from "./oracle_biography.ts";
import { OracleMemory } from "./oracle_memory.ts";
import { ReaderWatch } from "./oracle_readers.ts";
import { ISSUE_BITS, issueStateOf, issuerOf, movedWord, moverOf, NOLOCK, placeOf, settles } from "./oracle_words.ts";
import type { Ptr } from "./struct.ts";

/** Moves that each CPU remembers; a power of two. */
const RING = 2048;

export class SharedOracle implements Oracle {
  readonly active = true;
  readonly buffer: SharedArrayBuffer;
  private readonly mem: OracleMemory;
  private readonly readers: ReaderWatch;
  private readonly frees: FreeWatch;

  /** A new oracle for a machine. @param bytes  of machine memory. */
  static create(bytes: number, cpus: number, ring = RING): SharedOracle {
    return new SharedOracle(OracleMemory.create(bytes, cpus, ring));
  }
  /** Attaches to the buffer of another thread's oracle. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.mem = new OracleMemory(buffer);
    this.readers = new ReaderWatch(this.mem);
    this.frees = new FreeWatch(this.mem);
  }

  /** From now on, remember what is written; for one thread alone. */
  snapshot(): void {
    this.mem.snapshot();
  }
  /** Undoes everything since snapshot(). */
  restore(): void {
    this.mem.restore();
  }

  move(cpu: number, object: Ptr, from: number, to: number, context: number): OracleFault | undefined {
    const word = this.relocate(cpu, object, from, to);
    if (typeof word !== "number") return word;
    recordMove(this.mem, cpu, object, placeOf(word), to, context, 0);
    return undefined;
  }
  slab(
    cpu: number,
    base: number,
    size: number,
    count: number,
    from: number,
    to: number,
    context: number,
  ): OracleFault | undefined {
    for (let i = 0; i < count; i++) {
      const word = this.relocate(cpu, (base + i * size) as Ptr, from, to);
      if (typeof word === "number") continue;
      return { object: word.object, what: `${word.what} (with the ${count} objects of the slab at ${hex(base)})` };
    }
    recordMove(this.mem, cpu, base, from, to, context, slabOf(size, count));
    return undefined;
  }

  /** @returns the owner word before the move, or what is wrong. */
  private relocate(cpu: number, object: Ptr, from: number, to: number): number | OracleFault {
    const { mem } = this;
    // Not a number at all: a word was read outside of memory.
    if (!(object >= 0 && object < mem.bytes) || (object & 7) !== 0) {
      return { object, what: `object ${hex(object)}: no object can be at this address` };
    }
    const i = mem.owner(object);
    // A plain load: the rightful mover owns the object, so it has synchronised with whoever moved it last.
    let seen = mem.words[i];
    for (;;) {
      if ((placeOf(seen) & from) === 0) {
        const fresh = mem.load(i);
        if (fresh === seen) return this.wrongPlace(cpu, object, from, to, seen);
        seen = fresh;
        continue;
      }
      const found = mem.swap(i, seen, movedWord(seen, cpu, to));
      if (found === seen) {
        if (settles(seen, to)) this.frees.settled(seen);
        return seen;
      }
      // Only the caller of the free may change the word of an object that we own: it says that it has returned.
      if (((found ^ seen) & ~ISSUE_BITS) !== 0) return this.clash(cpu, object, from, to, found);
      seen = found;
    }
  }

  private wrongPlace(cpu: number, object: Ptr, from: number, to: number, word: number): OracleFault {
    const place = placeOf(word);
    const where = place === O_NONE ? "belongs to no slab" : `is in ${names(place)}, where CPU ${moverOf(word)} put it`;
    const free = issueStateOf(word) === 0 ? "" : `; CPU ${issuerOf(word)} is freeing it`;
    const move = `CPU ${cpu} moves it from ${names(from)} to ${names(to)}`;
    return { object, what: `object ${hex(object)}: ${fault(from, to, place)}: ${move}, but it ${where}${free}` };
  }
  private clash(cpu: number, object: Ptr, from: number, to: number, word: number): OracleFault {
    const mine = `CPU ${cpu} moves it from ${names(from)} to ${names(to)}`;
    const other = `CPU ${moverOf(word)} moves it to ${names(placeOf(word))}`;
    return { object, what: `object ${hex(object)}: two at once: ${mine} while ${other}` };
  }

  biography(object: Ptr): readonly OracleEvent[] {
    return biographyOf(this.mem, object);
  }
  allow_nolock(object: Ptr): void {
    const i = this.mem.owner(object);
    this.mem.store(i, this.mem.words[i] | NOLOCK); // Its user alone moves an allocated object.
  }
  forbids_nolock(object: Ptr): boolean {
    const word = this.mem.words[this.mem.owner(object)]; // Not there for what is no address: move() complains.
    return placeOf(word) === O_USER && (word & NOLOCK) === 0;
  }
  /** Where the object is, as an O_* bit. */
  place(object: Ptr): number {
    return placeOf(this.mem.load(this.mem.owner(object)));
  }
  /** Every object that is in one of `places`. For a machine at rest. */
  *objectsIn(places: number): Generator<Ptr> {
    const { words } = this.mem;
    const first = this.mem.owner(0);
    const end = this.mem.owner(this.mem.bytes);
    for (let i = first; i < end; i++) {
      if (placeOf(words[i]) & places) yield ((i - first) << 3) as Ptr;
    }
  }

  reader_enter(cpu: number): void {
    this.readers.enter(cpu);
  }
  reader_exit(cpu: number): void {
    this.readers.exit(cpu);
  }
  grace_period_begin(_cpu: number, key: Ptr): void {
    this.readers.ask(key);
  }
  grace_period_end(cpu: number, key: Ptr): OracleFault | undefined {
    return this.readers.end(cpu, key);
  }
  /** Readers by age: 0, 1, and 2 or more grace periods in a row that ended during the reader. 2 is a violation. */
  readerAges(): number[] {
    return this.readers.ages();
  }

  issued(cpu: number, object: Ptr): void {
    this.frees.returned(cpu, object);
  }
  barrier_begin(_cpu: number, key: Ptr): void {
    this.frees.begin(key);
  }
  barrier_end(key: Ptr): number | undefined {
    return this.frees.end(key);
  }
  overdue(epoch: number, base: number, bytes: number): Ptr {
    return this.frees.overdue(epoch, base, bytes);
  }
}

/** What such a wrong move is called. */
function fault(from: number, to: number, place: number): string {
  if (place === O_NONE) return "not an object";
  if ((to === O_USER || from & (O_FREELIST | O_SHEAF)) && place === O_USER) return "given out twice";
  if (from & (O_USER | O_TRANSIT) && to !== O_USER && place !== O_USER) return "double free";
  return "in the wrong place";
}

/** Places in words: "user or deferred". */
export function names(places: number): string {
  return O_NAMES.filter((_, number) => places & (1 << number)).join(" or ");
}
function hex(address: number): string {
  return Number.isInteger(address) ? `0x${address.toString(16)}` : String(address);
}
