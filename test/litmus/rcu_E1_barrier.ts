/** E1: rcu_barrier() waits for callbacks whose call_rcu() happened before it, on another CPU. */
import { callbackId, get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { rcu_barrier } from "../../src/shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { element, offsetof, type Ptr } from "../../src/shared/mem/struct.ts";
import { observed, type Litmus } from "./kit.ts";

const X = 0;
const Y = 1;
const HEAD = 32;

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "call_rcu, then rcu_barrier elsewhere",
    callbacks: [(cpu) => set(cpu, X, 1)],
    cpus: [
      [
        (cpu) => {
          call_rcu(
            cpu,
            (cpu.globals + offsetof(element(Globals.offset.scenario, HEAD))) as Ptr<"rcu_head">,
            callbackId(0),
          );
          set(cpu, Y, 1);
        },
      ],
      [
        (cpu) => {
          const r0 = get(cpu, Y);
          rcu_barrier(cpu);
          const r1 = get(cpu, X);
          result(cpu, 0, r0 === 1 && r1 === 0 ? 1 : 0);
        },
      ],
    ],
    check: (cpu) => observed(resultOf(cpu, 0) === 1, "r0=1 and r1=0"),
  },
};
export default litmus;
