/**
 * Reference counts of objects that are looked up without a lock. include/linux/refcount.h.
 *
 * Who finds an object under RCU may be late: its count has been 0, and somebody is about to free it. A count of 0 stays 0
 * until the object is used anew. Puts are a fetch_add() of their users, which know what the last one has to do.
 *
 * Differs: counts do not saturate.
 */
import type { Cpu } from "../../cpu/cpu.ts";
import type { Field, Ptr } from "../../mem/struct.ts";

/**
 * refcount_inc_not_zero() - one more reference, unless none is left.
 *
 * @kernel  include/linux/refcount.h
 * @returns false: the object is free, or about to be.
 * @context Any, NMI included; the memory of the object stays: a reader. Lock-free: a failed cmpxchg means somebody else's
 *          get or put.
 */
export function refcount_inc_not_zero<S extends string>(
  cpu: Cpu,
  p: Ptr<NoInfer<S>>,
  field: Field<S, "atomic", number>,
): boolean {
  for (let count = cpu.mem.read_once(p, field); count !== 0;) {
    const found = cpu.mem.cmpxchg(p, field, count, count + 1);
    if (found === count) return true;
    count = found; // cmpxchg told us what is there: no second load.
  }
  return false;
}
