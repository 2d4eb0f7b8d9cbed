/**
 * Oracle: what watches the machine from outside. Its words lie beside the machine's memory, in a buffer of their own:
 * they are no steps, and watching must not order the accesses that are watched. Kernel code reports every move of an
 * object and every reader; a move from a wrong place stops the machine at once. Implementations: NULL_ORACLE (bare heap),
 * SharedOracle (src/shared/mem/shared_oracle.ts). Kernel code calls it by src/shared/cpu/oracle.ts.
 */
import { NULL, type Ptr } from "./struct.ts";

/** Places where an object can be, spec slub 2.15; single bits, so that a move can name several origins. */
export const O_NONE = 1; // not an object: page is no slab
export const O_FREELIST = 2; // on its slab's freelist
export const O_USER = 4; // allocated
export const O_SHEAF = 8; // in a main, spare or barn sheaf
export const O_RCU_SHEAF = 16; // in an rcu_free sheaf, or in one that waits for its grace period
export const O_DEFERRED = 32; // on deferred_percpu_work.objects
export const O_DEFERRED_RCU = 64; // on deferred_percpu_work.objects_by_rcu
export const O_KRC = 128; // in kfree_rcu_cpu; in a machine without batching: with call_rcu()
export const O_TRANSIT = 256; // in a private array or chain: the caller's stack, a batch, a detached freelist
export const O_KEPT = 512; // a debugging facility has refused its free, and frees it later (linux/mm/debug)
export const O_PREFILLED = 1024; // in a sheaf that the prefill API has handed out
export const O_NAMES = [
  "none",
  "freelist",
  "user",
  "sheaf",
  "rcu_sheaf",
  "deferred",
  "deferred_rcu",
  "krc",
  "transit",
  "kept",
  "prefilled",
];

/** One entry of an object's biography. */
export interface OracleEvent {
  /** Grows with each event of the machine; 32 bits, wraps. */
  readonly ticket: number;
  readonly cpu: number;
  /** Kind of context that the CPU was in (layout/cpu.ts). */
  readonly context: number;
  /** Places, O_*. */
  readonly from: number;
  readonly to: number;
  /** Objects that moved together: 1, or those of a slab. */
  readonly count: number;
}

/** What is wrong, and with which object (or request). */
export interface OracleFault {
  readonly object: Ptr;
  readonly what: string;
}

export interface Oracle {
  /** False: nothing is watched, and nobody needs to call the rest. */
  readonly active: boolean;
  /** @returns undefined if the object was in one of `from` and is now in `to`; else what is wrong. */
  move(cpu: number, object: Ptr, from: number, to: number, context: number): OracleFault | undefined;
  /** All objects of a slab appear (from O_NONE) or vanish (to O_NONE). @returns what is wrong, or undefined. */
  slab(
    cpu: number,
    base: number,
    size: number,
    count: number,
    from: number,
    to: number,
    context: number,
  ): OracleFault | undefined;
  /** The last moves of an object, oldest first. */
  biography(object: Ptr): readonly OracleEvent[];
  /** An object that has just been allocated may be freed by the nolock functions. Ends with its free. */
  allow_nolock(object: Ptr): void;
  /** Is it allocated, and not for the nolock functions? */
  forbids_nolock(object: Ptr): boolean;

  /** After the outermost rcu_read_lock() took effect / before the outermost rcu_read_unlock() starts. */
  reader_enter(cpu: number): void;
  reader_exit(cpu: number): void;
  /** On entry of call_rcu() and of each function that promises a grace period; `key` is the rcu_head or object. */
  grace_period_begin(cpu: number, key: Ptr): void;
  /** First action after the promise is kept. @returns a reader that was there before is still there. */
  grace_period_end(cpu: number, key: Ptr): OracleFault | undefined;

  /** A deferring free of `object` has returned: barriers that begin from now on must wait for it. */
  issued(cpu: number, object: Ptr): void;
  /** On entry of a barrier; `key` names it until its end. */
  barrier_begin(cpu: number, key: Ptr): void;
  /** The barrier returns. @returns what to pass to overdue(), or undefined: nothing can be overdue. */
  barrier_end(key: Ptr): number | undefined;
  /** First object within `bytes` bytes whose free had returned before barrier `epoch` began and is not done; or NULL. */
  overdue(epoch: number, base: number, bytes: number): Ptr;
}

export const NULL_ORACLE: Oracle = {
  active: false,
  move: () => undefined,
  slab: () => undefined,
  biography: () => [],
  allow_nolock: () => undefined,
  forbids_nolock: () => false,
  reader_enter: () => undefined,
  reader_exit: () => undefined,
  grace_period_begin: () => undefined,
  grace_period_end: () => undefined,
  issued: () => undefined,
  barrier_begin: () => undefined,
  barrier_end: () => undefined,
  overdue: () => NULL,
};
