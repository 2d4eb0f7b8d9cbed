/**
 * OracleHistory: an oracle that tells the scheduler what it has been told. An oracle remembers in which order readers,
 * grace periods, frees and barriers came; two executions that reach the same machine state by different orders may be
 * judged differently, so for the state cache they are different states. Places of objects follow from the machine's.
 */
import type { Oracle } from "../../../shared/mem/oracle.ts";
import type { Ptr } from "../../../shared/mem/struct.ts";
import type { Scheduler } from "./scheduler.ts";
import { mix1, mix2 } from "./state_hash.ts";

const ENTER = 1;
const EXIT = 2;
const ASK = 3;
const END = 4;
const ISSUED = 5;
const BARRIER = 6;
const BARRIER_END = 7;
const ALLOWED = 8;

export function withHistory(oracle: Oracle, scheduler: () => Scheduler): Oracle {
  const note = (what: number, cpu: number, key: number): void => {
    const to = scheduler();
    if (!to.memory.hashing) return;
    to.history1 = mix1(mix1(to.history1, what * 16 + cpu), key);
    to.history2 = mix2(mix2(to.history2, what * 16 + cpu), key);
  };
  return {
    active: oracle.active,
    move: (cpu, object, from, to, context) => oracle.move(cpu, object, from, to, context),
    slab: (cpu, base, size, count, from, to, context) => oracle.slab(cpu, base, size, count, from, to, context),
    biography: (object) => oracle.biography(object),
    allow_nolock: (object) => {
      note(ALLOWED, 0, object);
      oracle.allow_nolock(object);
    },
    forbids_nolock: (object) => oracle.forbids_nolock(object),
    reader_enter: (cpu) => {
      note(ENTER, cpu, 0);
      oracle.reader_enter(cpu);
    },
    reader_exit: (cpu) => {
      note(EXIT, cpu, 0);
      oracle.reader_exit(cpu);
    },
    grace_period_begin: (cpu, key) => {
      note(ASK, cpu, key);
      oracle.grace_period_begin(cpu, key);
    },
    grace_period_end: (cpu, key) => {
      note(END, cpu, key);
      return oracle.grace_period_end(cpu, key);
    },
    issued: (cpu, object) => {
      note(ISSUED, cpu, object);
      oracle.issued(cpu, object);
    },
    barrier_begin: (cpu, key) => {
      note(BARRIER, cpu, key);
      oracle.barrier_begin(cpu, key);
    },
    barrier_end: (key: Ptr) => {
      note(BARRIER_END, 0, key);
      return oracle.barrier_end(key);
    },
    overdue: (epoch, base, bytes) => oracle.overdue(epoch, base, bytes),
  };
}
