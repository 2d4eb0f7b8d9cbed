/** T17: as T16, with call_rcu(): the callback poisons. */
import { callbackId, get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import { rcu_barrier } from "../../src/shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { element, offsetof, type Ptr } from "../../src/shared/mem/struct.ts";
import { observed, type Litmus } from "./kit.ts";

const P = 0;
const A = 8;
const B = 9;
const HEAD = 32; // words 32-35: an rcu_head
const POISON = 0x6b;

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "remove, call_rcu, poison",
    setup: (cpu) => set(cpu, P, A),
    callbacks: [(cpu) => set(cpu, A, POISON)],
    cpus: [
      [
        (cpu) => {
          set(cpu, P, B);
          call_rcu(
            cpu,
            (cpu.globals + offsetof(element(Globals.offset.scenario, HEAD))) as Ptr<"rcu_head">,
            callbackId(0),
          );
        },
        rcu_barrier,
      ],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          const r1 = get(cpu, get(cpu, P));
          rcu_read_unlock(cpu);
          result(cpu, 0, r1);
        },
      ],
    ],
    check: (cpu) =>
      observed(resultOf(cpu, 0) === POISON, "r1=POISON") ?? observed(get(cpu, A) !== POISON, "no callback"),
  },
};
export default litmus;
