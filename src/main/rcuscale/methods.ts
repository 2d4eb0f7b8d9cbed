/** The ways in which rcuscale can free its objects (--by), by name. What they do: kfreer.ts. */

export const METHOD_SUMMARIES = {
  kfree: "at once, without RCU: what the others cost more",
  call_rcu: "a call_rcu() for each object, with kfree() as its callback",
  call_rcu_nolock_free: "the same with kmalloc_nolock() and kfree_nolock(): BPF's way until kfree_rcu_nolock() came",
  kfree_rcu: "into a sheaf, else into kfree_rcu_cpu",
  kfree_rcu_nolock: "the same for objects of kmalloc_nolock(), from any context",
  kvfree_rcu_mightsleep: "the same without a head in the object",
} as const;
export type Method = keyof typeof METHOD_SUMMARIES;
export const METHODS = Object.keys(METHOD_SUMMARIES) as readonly Method[];

/** Each object needs a struct rcu_head for these. */
export function needsRcuHead(method: Method): boolean {
  return method === "call_rcu" || method === "call_rcu_nolock_free";
}
/** Objects come from kmalloc_nolock(), which chooses the cache itself. */
export function fromNolock(method: Method): boolean {
  return method === "call_rcu_nolock_free" || method === "kfree_rcu_nolock";
}
