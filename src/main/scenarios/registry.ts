/** The scenarios by name, and the program that runs some of them mixed. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import type { Program } from "../../workers/program.ts";
import { barriers } from "./barriers.ts";
import type { ScenarioName } from "./catalogue.ts";
import { give_back } from "./holdings.ts";
import { kunit } from "./kunit.ts";
import { list_lru } from "./list_lru.ts";
import { llist } from "./llist.ts";
import { maple_tree } from "./maple_tree.ts";
import { nolock } from "./nolock.ts";
import { obj_cgroup } from "./obj_cgroup.ts";
import { prefill } from "./prefill.ts";
import { rcu } from "./rcu.ts";
import type { Scenario } from "./scenario.ts";
import { empty_shared_words } from "./shared_words.ts";
import { shrinker_info } from "./shrinker_info.ts";
import { vmap_block } from "./vmap_block.ts";

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  nolock,
  kunit,
  barriers,
  llist,
  rcu,
  list_lru,
  obj_cgroup,
  shrinker_info,
  vmap_block,
  maple_tree,
  prefill,
};

/** A program whose operations are drawn from all the named scenarios; their interrupts all run. */
export function programOf(names: readonly ScenarioName[]): Program {
  const scenarios = names.map((name) => SCENARIOS[name]);
  return {
    bind: () => scenarios.forEach((scenario) => scenario.bind?.()),
    setup: allOf(scenarios.map(({ setup }) => setup)),
    operation: (cpu) => scenarios[random_below(cpu, scenarios.length)].operation(cpu),
    nmi: allOf(scenarios.map(({ nmi }) => nmi)),
    irq: allOf(scenarios.map(({ irq }) => irq)),
    teardown: allOf([...scenarios.map(({ teardown }) => teardown), give_back]),
    finish: allOf([...scenarios.map(({ finish }) => finish), empty_shared_words]),
  };
}

/** Calls one after the other those that are there. */
function allOf(parts: readonly (((cpu: Cpu) => void) | undefined)[]): (cpu: Cpu) => void {
  const present = parts.filter((part) => part !== undefined);
  return (cpu) => {
    for (const part of present) part(cpu);
  };
}
