/** The workloads that need a CPU, not only a heap. Those of RCU have twins in bench/peers/rcu.c. */
import type { SheafHeap } from "../../subjects/sheaf/heaps.ts";
import { HEAP_WORKLOADS } from "../catalogue.ts";
import type { Workload } from "../workload.ts";
import { kfree_rcu_workload } from "./kfree_rcu.ts";
import { many_caches } from "./many_caches.ts";
import { nmi_idle, nmi_local, nmi_running } from "./nmi.ts";
import { readers } from "./readers.ts";
import { barrier, grace_period } from "./waits.ts";

/** All that a machine can run. */
export const KERNEL_WORKLOADS: Readonly<Record<string, Workload<SheafHeap>>> = {
  ...HEAP_WORKLOADS,
  kfree_rcu: kfree_rcu_workload,
  readers,
  many_caches,
  grace_period,
  barrier,
  "nmi-local": nmi_local,
  "nmi-running": nmi_running,
  "nmi-idle": nmi_idle,
};
