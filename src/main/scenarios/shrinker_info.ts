/** Scenario shrinker_info: bits are set and served while their arrays are replaced. See workloads/shrinker_info.ts. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import {
  expand_shrinker_info,
  free_shrinker_info,
  set_shrinker_bit,
  shrink_slab_memcg,
  shrinker_info_init,
} from "../workloads/shrinker_info.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

/** Shrinkers: powers of two up to this one, each equally likely. The largest arrays are large kmallocs. */
const MAX_POWER = 16;

const some = (cpu: Cpu): number => random_below(cpu, 1 << random_below(cpu, MAX_POWER + 1));
const set = (cpu: Cpu): void => set_shrinker_bit(cpu, some(cpu));
const shrink = (cpu: Cpu): void => shrink_slab_memcg(cpu, some(cpu));

const MIX: Mix = [
  [512, set],
  [512, shrink],
  [16, (cpu) => void expand_shrinker_info(cpu, 1 + some(cpu))],
  [1, free_shrinker_info],
];
const TOTAL = totalWeight(MIX);

export const shrinker_info: Scenario = {
  setup: shrinker_info_init,
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: set,
  irq(cpu) {
    set(cpu);
    shrink(cpu);
  },
  finish: free_shrinker_info,
};
