/** Scenario maple_tree: walks through nodes of which a writer may just have made a copy. See workloads/maple_tree.ts. */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import {
  indices,
  maple_tree_destroy,
  maple_tree_init,
  mt_free_walk,
  mtree_load,
  mtree_replace,
  mtree_store,
} from "../workloads/maple_tree.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

const HEIGHT = 3;

const some = (cpu: Cpu): number => random_below(cpu, indices(HEIGHT));
const load = (cpu: Cpu): void => void mtree_load(cpu, some(cpu));

const MIX: Mix = [
  [32, load],
  [16, (cpu) => void mtree_store(cpu, some(cpu), HEIGHT)],
  [2, (cpu) => void mtree_replace(cpu, some(cpu), random_below(cpu, HEIGHT), HEIGHT)],
];
const TOTAL = totalWeight(MIX);

export const maple_tree: Scenario = {
  bind: () => bind_callback(CB.mt_free_walk, mt_free_walk),
  setup: (cpu) => maple_tree_init(cpu, HEIGHT),
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: load,
  irq: load,
  finish: maple_tree_destroy,
};
