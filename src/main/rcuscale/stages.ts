/** Which ways the objects of a run took. */
import type { Summary } from "../report/summary.ts";
import { type Method, needsRcuHead } from "./methods.ts";

/** Numbers of objects. Each is in one of the first five; those that NMIs free are counted, too. */
export interface Stages {
  /** Into an rcu_free sheaf. */
  readonly sheaf: number;
  /** Into a page of pointers of kfree_rcu_cpu. */
  readonly bnode: number;
  /** Onto the linked list of kfree_rcu_cpu. */
  readonly head: number;
  /** Given to call_rcu() one by one. */
  readonly call_rcu: number;
  /** Freed by their own thread after synchronize_rcu(). */
  readonly synchronous: number;
  /** Left on objects_by_rcu first. */
  readonly deferred: number;
}

export function stagesOf({ kfreeRcu, kfreeRcuNolock, nolockRfc }: Summary, by: Method, objects: number): Stages {
  return {
    sheaf: kfreeRcu.sheaf + kfreeRcuNolock.sheaf,
    bnode: kfreeRcu.bulk,
    head: kfreeRcu.krc - kfreeRcu.bulk + nolockRfc.linked,
    call_rcu: kfreeRcu.callRcu + (needsRcuHead(by) ? objects : 0),
    synchronous: kfreeRcu.synchronous,
    deferred: kfreeRcuNolock.objectsByRcu,
  };
}
