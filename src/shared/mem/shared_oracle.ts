/**
 * SharedOracle: the oracle of torture and explorer, on a SharedArrayBuffer of its own. Any number of threads attach.
 *
 *   move            compare-and-swap of the object's owner word; what is wrong comes back as text
 *   readers         spec rcu I-RCU-7: a reader keeps the ticket it began at, a grace period the one it was asked for at.
 *                   It ended too early if and only if a reader with a smaller ticket is still open
 *   barriers        frees that have returned are counted by epoch (barriers begun so far); a barrier may leave none of an
 *                   earlier epoch
 *   biography       each CPU keeps its last moves in a ring; tickets put them in order
 *
 * Never a false alarm: reader tickets are drawn after the lock and given back before the unlock; a free counts for
 * barriers only once its caller has said that it returned.
 *
 * Why a shared ticket counter, which is a full barrier: each move has one already, its compare-and-swap. Readers only
 * load it, and write their own words plainly: the one on the read side would lend RCU the ordering under test. A plain
 * store is seen late at worst, which misses a violation; that a reader has gone is known to whoever a correct grace
 * period has synchronised with.
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
import {
  C_AGES,
  C_HEAD,
  C_READER,
  C_READER_AGED,
  C_RING,
  ENTRY_WORDS,
  EPOCH_MASK,
  epochOf,
  ISSUE_BEGUN,
  ISSUE_BITS,
  ISSUE_RETURNED,
  issueStateOf,
  issuerOf,
  movedWord,
  moverOf,
  NR_AGES,
  type OracleLayout,
  oracleLayout,
  placeNumber,
  placeOf,
  returnedWord,
  settles,
  SLAB_COUNT_BITS,
  W_BYTES,
  W_CPUS,
  W_EPOCH,
  W_OUTSTANDING,
  W_RING,
  W_TICKET,
} from "./oracle_words.ts";
import { NULL, type Ptr } from "./struct.ts";

/** Moves that each CPU remembers; a power of two. */
const RING = 2048;
/** Moves in a biography. */
const BIOGRAPHY = 16;
/** Epochs further apart than this cannot be compared. */
const EPOCH_WINDOW = EPOCH_MASK >>> 1;

export class SharedOracle implements Oracle {
  readonly active = true;
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly layout: OracleLayout;
  private readonly owners: number;
  private readonly bytes: number;
  private readonly cpus: number;
  private readonly ring: number;
  /** (index, old value) of every word written since snapshot(). */
  private journal: number[] | undefined;

  /** A new oracle for a machine. @param bytes  of machine memory. */
  static create(bytes: number, cpus: number, ring = RING): SharedOracle {
    const buffer = new SharedArrayBuffer(oracleLayout(bytes, cpus, ring).words * 4);
    const words = new Int32Array(buffer);
    words[W_BYTES] = bytes;
    words[W_CPUS] = cpus;
    words[W_RING] = ring;
    return new SharedOracle(buffer);
  }
  /** Attaches to the buffer of another thread's oracle. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.bytes = this.words[W_BYTES];
    this.cpus = this.words[W_CPUS];
    this.ring = this.words[W_RING];
    this.layout = oracleLayout(this.bytes, this.cpus, this.ring);
    this.owners = this.layout.owners;
  }

  /** From now on, remember what is written; for one thread alone. */
  snapshot(): void {
    this.journal = [];
  }
  /** Undoes everything since snapshot(). */
  restore(): void {
    const { journal, words } = this;
    if (journal === undefined) return;
    for (let n = journal.length - 2; n >= 0; n -= 2) words[journal[n]] = journal[n + 1];
    journal.length = 0;
  }

  private store(i: number, value: number): void {
    this.journal?.push(i, this.words[i]);
    this.words[i] = value;
  }
  private add(i: number, n: number): number {
    this.journal?.push(i, this.words[i]);
    return Atomics.add(this.words, i, n);
  }
  private swap(i: number, expected: number, value: number): number {
    this.journal?.push(i, this.words[i]);
    return Atomics.compareExchange(this.words, i, expected, value);
  }
  private draw(): number {
    return (this.add(W_TICKET, 1) + 1) | 0;
  }
  private block(cpu: number): number {
    return this.layout.perCpu + cpu * this.layout.cpuStride;
  }

  // Moves.

  move(cpu: number, object: Ptr, from: number, to: number, context: number): OracleFault | undefined {
    const word = this.relocate(cpu, object, from, to);
    if (typeof word !== "number") return word;
    this.record(cpu, object, placeOf(word), to, context, 0);
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
    this.record(cpu, base, from, to, context, (size << SLAB_COUNT_BITS) | count);
    return undefined;
  }

  /** @returns the owner word before the move, or what is wrong. */
  private relocate(cpu: number, object: Ptr, from: number, to: number): number | OracleFault {
    if (object >>> 0 >= this.bytes || (object & 7) !== 0) {
      return { object, what: `object ${hex(object)}: no object can be at this address` };
    }
    const i = this.owners + (object >> 3);
    // A plain load: the rightful mover owns the object, so it has synchronised with whoever moved it last.
    let seen = this.words[i];
    for (;;) {
      if ((placeOf(seen) & from) === 0) {
        const fresh = Atomics.load(this.words, i);
        if (fresh === seen) return this.wrongPlace(cpu, object, from, to, seen);
        seen = fresh;
        continue;
      }
      const found = this.swap(i, seen, movedWord(seen, cpu, to));
      if (found === seen) {
        if (settles(seen, to)) this.add(W_OUTSTANDING + epochOf(seen), -1);
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

  private record(cpu: number, object: number, from: number, to: number, context: number, slab: number): void {
    const block = this.block(cpu);
    const head = this.words[block + C_HEAD];
    const entry = block + C_RING + (head & (this.ring - 1)) * ENTRY_WORDS;
    this.store(entry, object);
    this.store(entry + 1, placeNumber(from) | (placeNumber(to) << 4) | (context << 8));
    this.store(entry + 2, this.draw());
    this.store(entry + 3, slab);
    this.store(block + C_HEAD, (head + 1) | 0);
  }
  biography(object: Ptr): readonly OracleEvent[] {
    const { words, ring } = this;
    const events: OracleEvent[] = [];
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const start = this.block(cpu) + C_RING;
      for (let at = start; at < start + ring * ENTRY_WORDS; at += ENTRY_WORDS) {
        const slab = words[at + 3];
        if (words[at] === 0 || !covers(words[at], slab, object)) continue;
        const what = words[at + 1];
        const count = slab === 0 ? 1 : slab & ((1 << SLAB_COUNT_BITS) - 1);
        events.push({
          ticket: words[at + 2],
          cpu,
          context: what >>> 8,
          from: 1 << (what & 15),
          to: 1 << ((what >>> 4) & 15),
          count,
        });
      }
    }
    return events.toSorted((a, b) => (a.ticket - b.ticket) | 0).slice(-BIOGRAPHY);
  }

  /** Where the object is, as an O_* bit. */
  place(object: Ptr): number {
    return placeOf(Atomics.load(this.words, this.owners + (object >> 3)));
  }
  /** Every object that is in one of `places`. For a machine at rest. */
  *objectsIn(places: number): Generator<Ptr> {
    const end = this.layout.keys;
    for (let i = this.owners; i < end; i++) {
      if (placeOf(this.words[i]) & places) yield ((i - this.owners) << 3) as Ptr;
    }
  }

  // Readers and grace periods.

  reader_enter(cpu: number): void {
    const ticket = Atomics.load(this.words, W_TICKET);
    this.store(this.block(cpu) + C_READER, ticket === 0 ? 1 : ticket);
  }
  reader_exit(cpu: number): void {
    const block = this.block(cpu);
    const ticket = this.words[block + C_READER];
    if (ticket === 0) return; // Another task of this CPU has taken its place.
    this.store(block + C_READER, 0);
    const age = block + C_AGES + (this.words[block + C_READER_AGED] === ticket ? 1 : 0);
    this.store(age, this.words[age] + 1);
  }
  grace_period_begin(_cpu: number, key: Ptr): void {
    const ticket = this.draw();
    this.store(this.layout.keys + (key >> 3), ticket === 0 ? 1 : ticket);
  }
  grace_period_end(cpu: number, key: Ptr): OracleFault | undefined {
    const asked = this.words[this.layout.keys + (key >> 3)];
    if (asked === 0) {
      return { object: key, what: `grace period of ${hex(key)}: CPU ${cpu} says it is over, but nobody asked for it` };
    }
    this.draw(); // A reader that begins after this does not count as one during which it ended.
    for (let id = 0; id < this.cpus; id++) {
      const block = this.block(id);
      const reader = this.words[block + C_READER];
      if (reader === 0) continue;
      if (((reader - asked) | 0) < 0) {
        this.add(block + C_AGES + NR_AGES - 1, 1);
        const since = `it was asked for at ticket ${asked}, and the reader on CPU ${id}, there since ticket ${reader}`;
        return { object: key, what: `grace period of ${hex(key)}: too short on CPU ${cpu}: ${since}, is still there` };
      }
      this.store(block + C_READER_AGED, reader);
    }
    return undefined;
  }
  /**
   * Readers by age: the number of grace periods, each begun after the end of the one before, that ended during the
   * reader. 0 and 1 are right; from 2 on the last one began and ended within the reader.
   */
  readerAges(): number[] {
    return Array.from({ length: NR_AGES }, (_, age) => {
      let n = 0;
      for (let cpu = 0; cpu < this.cpus; cpu++) n += this.words[this.block(cpu) + C_AGES + age];
      return n;
    });
  }

  // Barriers.

  issued(cpu: number, object: Ptr): void {
    const i = this.owners + (object >> 3);
    let seen = Atomics.load(this.words, i);
    while (issueStateOf(seen) === ISSUE_BEGUN && issuerOf(seen) === cpu) {
      const epoch = Atomics.load(this.words, W_EPOCH) & EPOCH_MASK;
      this.add(W_OUTSTANDING + epoch, 1); // Before the word says so: the count is never too small.
      const found = this.swap(i, seen, returnedWord(seen, epoch));
      if (found === seen) return;
      this.add(W_OUTSTANDING + epoch, -1); // It has been moved on: look where it is.
      seen = found;
    }
  }
  barrier_begin(_cpu: number, key: Ptr): void {
    this.store(this.layout.keys + (key >> 3), (this.add(W_EPOCH, 1) + 1) | 0);
  }
  barrier_end(key: Ptr): number | undefined {
    const epoch = this.words[this.layout.keys + (key >> 3)];
    const now = Atomics.load(this.words, W_EPOCH);
    if (((now - epoch) | 0) > EPOCH_WINDOW) return undefined; // Too long ago to tell older epochs from newer ones.
    for (let older = 1; older <= EPOCH_WINDOW; older++) {
      if (this.words[W_OUTSTANDING + ((epoch - older) & EPOCH_MASK)] !== 0) return epoch;
    }
    return undefined;
  }
  overdue(epoch: number, base: number, bytes: number): Ptr {
    const end = this.owners + ((base + bytes) >> 3);
    for (let i = this.owners + (base >> 3); i < end; i++) {
      const word = this.words[i];
      if (issueStateOf(word) !== ISSUE_RETURNED) continue;
      const older = (epoch - epochOf(word)) & EPOCH_MASK;
      if (older >= 1 && older <= EPOCH_WINDOW) return ((i - this.owners) << 3) as Ptr;
    }
    return NULL;
  }
}

/** Is the object what this entry is about, or part of the slab that it is about? */
function covers(address: number, slab: number, object: number): boolean {
  if (slab === 0) return address === object;
  const size = slab >>> SLAB_COUNT_BITS;
  const index = (object - address) / size;
  return Number.isInteger(index) && index >= 0 && index < (slab & ((1 << SLAB_COUNT_BITS) - 1));
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
const hex = (address: number): string => `0x${address.toString(16)}`;
