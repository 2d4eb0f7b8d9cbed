/** Litmus tests of the specification that are not in the catalogue, each with the reason. */
export const LEFT_OUT: readonly { readonly names: readonly string[]; readonly reason: string }[] = [
  {
    names: ["T13", "T14"],
    reason: "allowed by the kernel's memory model, but not reachable where loads execute in program order",
  },
  { names: ["T27", "E16", "E27"], reason: "need PREEMPT_RT tasks, which this version does not have" },
  {
    names: ["E6", "E7", "E8", "E9", "E10", "E11", "E12", "E13", "E20", "E22", "E23", "E24", "E25", "E26"],
    reason: "need the batching layer of kfree_rcu() at explorable size",
  },
];
