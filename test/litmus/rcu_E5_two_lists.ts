/** E5: callbacks of two CPUs, both before rcu_barrier() on a third: both have run when it returns. */
import { callbackId, get, result, resultOf } from "../../src/main/explore/scenario.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { rcu_barrier } from "../../src/shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { element, offsetof, type Ptr } from "../../src/shared/mem/struct.ts";
import { observed, type Litmus } from "./kit.ts";

const { scenario: WORDS } = Globals.offset;
const INVOKED = 0;
const QUEUED = 1;
const enqueue = (head: number) => (cpu: Cpu) => {
  call_rcu(cpu, (cpu.globals + offsetof(element(WORDS, head))) as Ptr<"rcu_head">, callbackId(0));
  cpu.mem.fetch_add(cpu.globals, element(WORDS, QUEUED), 1);
};

const litmus: Litmus = {
  result: "Never",
  bound: 0,
  random: 400,
  scenario: {
    name: "two callback lists",
    callbacks: [(cpu) => void cpu.mem.fetch_add(cpu.globals, element(WORDS, INVOKED), 1)],
    cpus: [
      [enqueue(32)],
      [enqueue(36)],
      [
        (cpu) => {
          const queued = get(cpu, QUEUED);
          rcu_barrier(cpu);
          if (get(cpu, INVOKED) < queued) result(cpu, 0, 1);
        },
      ],
    ],
    check: (cpu) => observed(resultOf(cpu, 0) === 1, "fewer callbacks invoked than were queued before the barrier"),
  },
};
export default litmus;
