/** All planted bugs: at least one for each mechanism. */
import { CONFIGURATION_MUTANTS } from "./configurations.ts";
import { FACILITY_MUTANTS } from "./facilities.ts";
import { FOUNDATION_MUTANTS } from "./foundations.ts";
import { HOTPLUG_MUTANTS } from "./hotplug.ts";
import { IRQ_WORK_MUTANTS } from "./irq_work.ts";
import { KRC_MUTANTS } from "./krc.ts";
import { KVFREE_RCU_MUTANTS } from "./kvfree_rcu.ts";
import { MACHINE_MUTANTS } from "./machine.ts";
import { MIGRATE_MUTANTS } from "./migrate.ts";
import type { Mutant } from "./mutant.ts";
import { PAGE_CACHE_MUTANTS } from "./page_cache.ts";
import { RCU_MUTANTS } from "./rcu.ts";
import { SERIES_MUTANTS } from "./series.ts";
import { SLUB_MUTANTS } from "./slub.ts";
import { SLUB_API_MUTANTS } from "./slub_api.ts";
import { SLUB_DEBUG_MUTANTS } from "./slub_debug.ts";
import { SYSFS_MUTANTS } from "./sysfs.ts";
import { VARIANT_MUTANTS } from "./variants.ts";
import { WAITING_MUTANTS } from "./waiting.ts";
import { WORKLOAD_MUTANTS } from "./workloads.ts";

export const MUTANTS: readonly Mutant[] = [
  ...MACHINE_MUTANTS,
  ...WAITING_MUTANTS,
  ...IRQ_WORK_MUTANTS,
  ...RCU_MUTANTS,
  ...SLUB_MUTANTS,
  ...CONFIGURATION_MUTANTS,
  ...SLUB_API_MUTANTS,
  ...SLUB_DEBUG_MUTANTS,
  ...SYSFS_MUTANTS,
  ...KVFREE_RCU_MUTANTS,
  ...KRC_MUTANTS,
  ...PAGE_CACHE_MUTANTS,
  ...VARIANT_MUTANTS,
  ...FOUNDATION_MUTANTS,
  ...FACILITY_MUTANTS,
  ...SERIES_MUTANTS,
  ...WORKLOAD_MUTANTS,
  ...HOTPLUG_MUTANTS,
  ...MIGRATE_MUTANTS,
];
