/**
 * E10: an object has been in krc for long enough, another one joins it, on the same page or list, while a reader is looking at
 * that. Then the monitor looks for what is ready.
 *
 * The mechanism is that each new object renews the cookie. Without it the cookie is that of the first.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { resultOf, type Scenario } from "../explore/scenario.ts";
import { getCookies, makeReady, monitor, setCookies } from "./kit_krc.ts";
import {
  awaitReader,
  BNODE,
  LIST,
  OBJECTS,
  signallingReader,
  thing,
  unpublish,
  withThings,
  type Way,
} from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const program = (way: Way, free: Way["free"]): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(2, SLAB_NO_SHEAVES, (cpu) => {
    way.free(cpu, thing(cpu, 0));
    makeReady(cpu);
  }),
  cpus: [
    [
      (cpu) => {
        awaitReader(cpu);
        free(cpu, unpublish(cpu));
        monitor(cpu);
        __kvfree_rcu_barrier(cpu);
      },
    ],
    [signallingReader],
  ],
});
const withOldCookie =
  (free: Way["free"]): Way["free"] =>
  (cpu: Cpu, object) => {
    const cookies = getCookies(cpu);
    free(cpu, object);
    setCookies(cpu, cookies);
  };

export default [BNODE, LIST].map((way): Litmus => ({
  title: `kfree_rcu(), by ${way.name}, of what a reader is looking at, beside an object that is ready`,
  outcome: "it is freed in the section",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: `E10-${way.name}`, ...program(way, way.free) },
  vacuity: { name: `E10-${way.name}+no-op`, ...program(way, withOldCookie(way.free)) },
}));
