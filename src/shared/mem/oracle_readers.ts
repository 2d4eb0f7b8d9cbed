/**
 * Readers and grace periods, spec rcu I-RCU-7. A reader keeps the ticket it began at, drawn after rcu_read_lock() took
 * effect; a request keeps its own, drawn on entry. Its grace period ended too early if and only if a reader with a
 * smaller ticket is still open when it ends: that reader was there before, and has not begun to leave. No false alarms.
 *
 * Why readers only load the ticket counter, and write their words plainly: a full barrier on the read side would lend
 * RCU the ordering under test. A plain store is seen late at worst, which misses a violation; that a reader has gone is
 * known to whoever a correct grace period has synchronised with.
 */
import type { OracleFault } from "./oracle.ts";
import type { OracleMemory } from "./oracle_memory.ts";
import { C_AGES, C_READER, C_READER_AGED, NR_AGES, W_TICKET } from "./oracle_words.ts";
import type { Ptr } from "./struct.ts";

export class ReaderWatch {
  private readonly mem: OracleMemory;

  constructor(mem: OracleMemory) {
    this.mem = mem;
  }

  enter(cpu: number): void {
    const ticket = this.mem.load(W_TICKET);
    this.mem.store(this.mem.block(cpu) + C_READER, ticket === 0 ? 1 : ticket);
  }
  exit(cpu: number): void {
    const { mem } = this;
    const block = mem.block(cpu);
    const ticket = mem.words[block + C_READER];
    if (ticket === 0) return; // Another task of this CPU has taken its place.
    mem.store(block + C_READER, 0);
    const age = block + C_AGES + (mem.words[block + C_READER_AGED] === ticket ? 1 : 0);
    mem.store(age, mem.words[age] + 1);
  }

  ask(key: Ptr): void {
    const ticket = this.mem.draw();
    this.mem.store(this.mem.key(key), ticket === 0 ? 1 : ticket);
  }
  /** @returns what is wrong with the end of the grace period asked for under `key`. */
  end(cpu: number, key: Ptr): OracleFault | undefined {
    const { mem } = this;
    const asked = mem.words[mem.key(key)];
    if (asked === 0) return fault(key, `CPU ${cpu} says it is over, but nobody asked for it`);
    mem.draw(); // A reader that begins after this does not count as one during which it ended.
    for (let id = 0; id < mem.cpus; id++) {
      const block = mem.block(id);
      const reader = mem.words[block + C_READER];
      if (reader === 0) continue;
      if (((reader - asked) | 0) < 0) {
        mem.add(block + C_AGES + NR_AGES - 1, 1);
        const since = `it was asked for at ticket ${asked}, and the reader on CPU ${id}, there since ticket ${reader}`;
        return fault(key, `too short on CPU ${cpu}: ${since}, is still there`);
      }
      mem.store(block + C_READER_AGED, reader);
    }
    return undefined;
  }

  /**
   * Readers by age: the number of grace periods, each begun after the end of the one before, that ended during the
   * reader. 0 and 1 are right; from 2 on the last one began and ended within the reader.
   */
  ages(): number[] {
    const { mem } = this;
    return Array.from({ length: NR_AGES }, (_, age) => {
      let n = 0;
      for (let cpu = 0; cpu < mem.cpus; cpu++) n += mem.words[mem.block(cpu) + C_AGES + age];
      return n;
    });
  }
}

function fault(key: Ptr, what: string): OracleFault {
  return { object: key, what: `grace period of 0x${key.toString(16)}: ${what}` };
}
