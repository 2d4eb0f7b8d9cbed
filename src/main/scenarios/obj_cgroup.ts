/** Scenario obj_cgroup: references change hands, memory cgroups change objects. See workloads/obj_cgroup.ts. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { NR_MEMCGS, NR_OBJCG_STASH } from "../../shared/layout/workloads.ts";
import { NULL } from "../../shared/mem/struct.ts";
import {
  check_objcg_list,
  get_obj_cgroup_from_memcg,
  memcg_remove_objcg,
  memcg_replace_objcg,
  obj_cgroup_charge,
  obj_cgroup_destroy,
  obj_cgroup_init,
  obj_cgroup_pass_on,
  obj_cgroup_put,
} from "../workloads/obj_cgroup.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

const MAX_CHARGES = 16;

const memcg = (cpu: Cpu): number => random_below(cpu, NR_MEMCGS);
const pass_on = (cpu: Cpu): void => obj_cgroup_pass_on(cpu, memcg(cpu), random_below(cpu, NR_OBJCG_STASH));
function hold(cpu: Cpu): void {
  const objcg = get_obj_cgroup_from_memcg(cpu, memcg(cpu));
  if (objcg === NULL) return;
  for (let left = random_below(cpu, MAX_CHARGES); left > 0; left--) {
    obj_cgroup_charge(cpu, objcg, left);
    obj_cgroup_charge(cpu, objcg, -left);
  }
  obj_cgroup_put(cpu, objcg);
}

const MIX: Mix = [
  [16, pass_on],
  [16, hold],
  [8, (cpu) => void memcg_replace_objcg(cpu, memcg(cpu))],
  [1, (cpu) => memcg_remove_objcg(cpu, memcg(cpu))],
  [1, check_objcg_list],
];
const TOTAL = totalWeight(MIX);

export const obj_cgroup: Scenario = {
  setup: obj_cgroup_init,
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: pass_on,
  irq(cpu) {
    pass_on(cpu);
    memcg_replace_objcg(cpu, memcg(cpu));
  },
  finish: obj_cgroup_destroy,
};
