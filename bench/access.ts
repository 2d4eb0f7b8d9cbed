/** What do single accesses and the smallest protocols cost in V8, beside C? */
import os from "node:os";
import type { Bench } from "./bench.ts";
import { type Contender, native, V8 } from "./subjects/contenders.ts";

const C: Contender = { ...native("glibc"), name: "C" };
const OVERSUBSCRIBED = 2 + os.availableParallelism();

interface Access {
  readonly workload: string;
  readonly what: string;
  readonly threads?: number;
  /** C has it, too. */
  readonly inC?: boolean;
  readonly idle?: boolean;
}
const ACCESSES: readonly Access[] = [
  { workload: "load", what: "plain load" },
  { workload: "store", what: "plain store" },
  { workload: "growable-load", what: "plain load, growable buffer", inC: false },
  { workload: "growable-store", what: "plain store, growable buffer", inC: false },
  { workload: "atomic-load", what: "atomic load" },
  { workload: "atomic-store", what: "atomic store" },
  { workload: "atomic-add", what: "atomic add" },
  { workload: "atomic-compare-exchange", what: "compare-and-swap" },
  { workload: "bigint-add", what: "atomic add, BigInt64Array", inC: false },
  { workload: "llist-push", what: "llist push" },
  { workload: "llist-take", what: "llist take-all" },
  { workload: "trylock-plain", what: "trylock and unlock, plain" },
  { workload: "trylock-atomic", what: "trylock and unlock, atomic" },
  { workload: "polled", what: "polling", threads: 2 },
  { workload: "wait", what: "wake-up", threads: 2, idle: true },
  { workload: "polled", what: "polling, more threads than cores", threads: OVERSUBSCRIBED },
];

export const access: Bench = {
  name: "access",
  question: "What do single accesses and the smallest protocols cost in V8, beside C?",
  cases: () =>
    ACCESSES.map(({ workload, what, threads = 1, inC = true, idle = false }) => ({
      bench: `access ${what}`,
      workload: `access-${workload}`,
      threads,
      parameters: {},
      idle,
      subject: V8,
      peers: inC ? [C] : [],
    })),
};
