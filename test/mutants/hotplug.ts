/** Planted bugs of CPUs that go offline and come back. */
import type { Edit, Mutant } from "./mutant.ts";

const CPU = "src/shared/linux/kernel/cpu.ts";
const RCU = "src/shared/linux/rcu";
const TORTURE = ["--config", "hotplug,tiny", "--scenario", "nolock"];

/** A step of the way down or up that is left out. */
const leftOut = (find: string): readonly Edit[] => [{ file: CPU, find, replace: "" }];

export const HOTPLUG_MUTANTS: readonly Mutant[] = [
  {
    name: "no-slub-cpu-dead",
    what: "nobody empties the sheaves of a CPU that is offline",
    edits: leftOut("  invoke(cpu, CB.slub_cpu_dead, section);\n"),
    explore: ["hotplug-sheaf"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "no-memcg-cpu-dead",
    what: "nobody empties the memcg stock of a CPU that is offline",
    edits: leftOut("  invoke(cpu, CB.memcg_hotplug_cpu_dead, section);\n"),
    explore: ["hotplug-stocks"],
    torture: [...TORTURE, "--hooks", "memcg"],
    quick: true,
  },
  {
    name: "no-kasan-cpu-offline",
    what: "nobody empties the quarantine of a CPU that is offline",
    edits: leftOut("  invoke(cpu, CB.kasan_cpu_offline, section);\n"),
    explore: ["hotplug-stocks"],
    torture: [...TORTURE, "--hooks", "kasan"],
    quick: true,
  },
  {
    name: "callbacks-stay",
    what: "the callbacks of a CPU that goes offline stay there",
    edits: leftOut("  invoke(cpu, CB.rcutree_migrate_callbacks, section);\n"),
    explore: ["hotplug-callbacks"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "no-hotplug-cfd",
    what: "a CPU goes offline without running its irq_work",
    edits: leftOut("  irq_work_run(cpu);\n"),
    explore: ["hotplug-deferred"],
    torture: [...TORTURE, "--irqwork", "late"],
    quick: true,
  },
  {
    name: "dead-cpu-counts",
    what: "a CPU that goes offline does not tell RCU",
    edits: leftOut("  invoke(cpu, CB.rcutree_report_cpu_dead, cpu.section);\n"),
    explore: ["hotplug-gp"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "new-cpu-does-not-count",
    what: "a CPU that comes back does not tell RCU",
    edits: leftOut("  invoke(cpu, CB.rcutree_report_cpu_starting, cpu.section);\n"),
    explore: ["hotplug-gp-sync"],
    torture: [...TORTURE, "--scenario", "rcu"],
    quick: true,
  },
  {
    name: "no-stop-machine",
    what: "a CPU goes offline while others are about to call it",
    edits: leftOut("  invoke(cpu, CB.synchronize_rcu, NULL); // In place of stop_machine().\n"),
    explore: ["hotplug-rcu-barrier"],
    torture: [...TORTURE, "--scenario", "barriers"],
    quick: true,
  },
  {
    name: "cpu-goes-under-readers",
    what: "cpu_down() does not wait for those who hold cpus_read_lock()",
    edits: [
      {
        file: "src/shared/linux/sync/percpu_rwsem.ts",
        find: "  wait_event(cpu, embedded(sem, WRITER), no_readers, sem);\n",
        replace: "",
      },
    ],
    explore: ["hotplug-barrier"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "barrier-by-cpu-online",
    what: "rcu_barrier takes a CPU for dead that RCU still counts, and changes its list",
    edits: [
      {
        file: `${RCU}/tree_barrier.ts`,
        find: "const online = rcu_rdp_cpu_online(cpu, rdp);",
        replace: "const online = (mem.read_once(cpu.globals, Globals.offset.online) & (1 << id)) !== 0;",
      },
      {
        file: `${RCU}/tree_barrier.ts`,
        find: 'import { RcuHead } from "../../layout/types.ts";',
        replace: 'import { RcuHead } from "../../layout/types.ts";\nimport { Globals } from "../../layout/globals.ts";',
      },
    ],
    explore: ["hotplug-rcu-barrier"],
    torture: [...TORTURE, "--scenario", "barriers"],
    quick: true,
  },
  {
    name: "works-stay",
    what: "nobody runs the works of a CPU that is offline",
    edits: leftOut("  workqueue_offline_cpu(cpu);\n"),
    explore: ["hotplug-work"],
    torture: [...TORTURE, "--scenario", "barriers"],
    quick: true,
  },
  {
    name: "timers-stay",
    what: "the timers of a CPU that goes offline stay there",
    edits: leftOut("  timers_dead_cpu(cpu, dead);\n"),
    explore: ["hotplug-timer"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "hrtimers-stay",
    what: "the hrtimers of a CPU that goes offline stay there",
    edits: leftOut("  hrtimers_cpu_dying(cpu, 0);\n"),
    explore: ["hotplug-timer"],
    torture: TORTURE,
    quick: true,
  },
];
