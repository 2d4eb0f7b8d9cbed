/** Scenario vmap_block: pages are taken from blocks here and given back there. See workloads/vmap_block.ts. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_ATOMIC, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { NR_VMAP_BLOCKS, NR_VMAP_STASH, VMAP_BBMAP_BITS } from "../../shared/layout/workloads.ts";
import {
  purge_fragmented_blocks,
  vb_look_up,
  vb_pass_on,
  vb_walk,
  vmap_block_destroy,
  vmap_block_init,
} from "../workloads/vmap_block.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

const MAX_LOOKS = 64;

const any_cpu = (cpu: Cpu): number => random_below(cpu, cpu.map.shape.cpus);
const look_up = (cpu: Cpu): void =>
  vb_look_up(cpu, 1 + random_below(cpu, NR_VMAP_BLOCKS * VMAP_BBMAP_BITS), random_below(cpu, MAX_LOOKS));

const MIX: Mix = [
  [32, (cpu) => vb_pass_on(cpu, random_below(cpu, NR_VMAP_STASH), GFP_KERNEL)],
  [8, look_up],
  [4, (cpu) => vb_walk(cpu, any_cpu(cpu))],
  [1, (cpu) => purge_fragmented_blocks(cpu, any_cpu(cpu))],
];
const TOTAL = totalWeight(MIX);

export const vmap_block: Scenario = {
  setup: vmap_block_init,
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi(cpu) {
    look_up(cpu);
    vb_walk(cpu, any_cpu(cpu));
  },
  irq: (cpu) => {
    if (!cpu.rt) vb_pass_on(cpu, random_below(cpu, NR_VMAP_STASH), GFP_ATOMIC); // There the allocator sleeps.
  },
  finish: vmap_block_destroy,
};
