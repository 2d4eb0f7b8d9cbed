/** Planted bugs of writing to files under /sys/kernel/slab. */
import type { Mutant } from "./mutant.ts";

const FILE = "src/shared/linux/mm/slub/sysfs.ts";

export const SYSFS_MUTANTS: readonly Mutant[] = [
  {
    name: "sysfs-claim-stored",
    what: "a request to write a file is taken by a store: two CPUs serve it, one of them too late",
    edits: [
      {
        file: FILE,
        find: "if (mem.cmpxchg(request, STATE, SYSFS_POSTED, SYSFS_TAKEN) !== SYSFS_POSTED) return;",
        replace: "mem.write_once(request, STATE, SYSFS_TAKEN);",
      },
    ],
    explore: ["sysfs-claim"],
    torture: [],
    quick: true,
  },
  {
    name: "sysfs-without-slab-mutex",
    what: "slab_mutex is given back before the file of the cache that it has found is written",
    edits: [
      {
        file: FILE,
        find: "  const s = find_cache(cpu, name);\n",
        replace: "  const s = find_cache(cpu, name);\n  mutex_unlock(cpu, slab_mutex);\n",
      },
      {
        file: FILE,
        find: "  mutex_unlock(cpu, slab_mutex);\n  cpus_read_unlock(cpu);\n",
        replace: "  cpus_read_unlock(cpu);\n",
      },
    ],
    explore: ["sysfs-destroy"],
    torture: [],
    quick: true,
  },
];
