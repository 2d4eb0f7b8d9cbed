/** Scenario list_lru: tables of a few to some thousand entries replace each other under readers. See workloads/list_lru.ts. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import {
  list_lru_add_del,
  list_lru_destroy,
  list_lru_init,
  memcg_list_lru_alloc,
  memcg_list_lru_free,
  memcg_update_list_lru,
} from "../workloads/list_lru.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

/** Memory cgroups: powers of two up to this one, each equally likely. The largest tables are large kmallocs. */
const MAX_POWER = 12;
const MAX_LOOKS = 64;

const some = (cpu: Cpu): number => random_below(cpu, 1 << random_below(cpu, MAX_POWER + 1));
const read = (cpu: Cpu): void => list_lru_add_del(cpu, some(cpu), random_below(cpu, MAX_LOOKS));
const read_briefly = (cpu: Cpu): void => list_lru_add_del(cpu, some(cpu), 2);

const MIX: Mix = [
  [32, read],
  [8, (cpu) => memcg_list_lru_alloc(cpu, some(cpu))],
  [4, (cpu) => memcg_list_lru_free(cpu, some(cpu))],
  [1, (cpu) => memcg_update_list_lru(cpu, 1 + some(cpu))],
];
const TOTAL = totalWeight(MIX);

export const list_lru: Scenario = {
  setup: list_lru_init,
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: read_briefly,
  irq: read_briefly,
  finish: list_lru_destroy,
};
