/**
 * E22: CPU 0 has freed an object, and waits for it. So does CPU 1, which has freed none, and so has nothing else to wait for.
 *
 * The mechanism is that a barrier takes the lock of a krc whose lists it has found empty: whoever has taken them has then
 * queued the batch. That is our repair K-3. The kernel looks without it.
 */
import { KB_K3 } from "../../shared/layout/globals.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { result, resultOf, type Operation, type Scenario } from "../explore/scenario.ts";
import { BNODE, isThere, LIST, OBJECTS, thing, withThings, type Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const wait: Operation = (cpu) => {
  __kvfree_rcu_barrier(cpu);
  if (isThere(cpu, thing(cpu, 0))) result(cpu, cpu.id, 1);
};
const program = ({ flags, free }: Way, kernel_behaviour: number): Omit<Scenario, "name"> => ({
  globals: { ...OBJECTS, kernel_behaviour },
  setup: withThings(1, flags, (cpu) => free(cpu, thing(cpu, 0))),
  cpus: [[wait], [wait]],
});

export default [BNODE, LIST].map((way): Litmus => ({
  title: `two __kvfree_rcu_barrier() at once, for an object in a ${way.name}`,
  outcome: "still there when one of them returns",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1 || resultOf(cpu, 1) === 1,
  bound: 1,
  scenario: { name: `E22-${way.name}`, ...program(way, 0) },
  vacuity: { name: `E22-${way.name}+no-op`, ...program(way, KB_K3) },
}));
