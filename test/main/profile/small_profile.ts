/**
 * A small .cpuprofile: CPU 0 boots nothing, is recorded, allocates, frees and waits. Samples at 1, 2, 4, 5, 6, 7, 8 ms
 * after its start, end at 10 ms.
 */
import type { Profiler } from "node:inspector";

/** The package's folder, as a URL. */
export const PACKAGE = new URL("../../../", import.meta.url);

function node(id: number, functionName: string, path: string, children: number[] = []): Profiler.ProfileNode {
  const url = path.startsWith("node:") || path === "" ? path : new URL(path, PACKAGE).href;
  const known = path !== "";
  const callFrame = { functionName, scriptId: "1", url, lineNumber: known ? 9 : -1, columnNumber: known ? 4 : -1 };
  return { id, callFrame, children };
}

const SLUB = "src/shared/linux/mm/slub/";
export const SMALL_PROFILE: Profiler.Profile = {
  nodes: [
    node(1, "(root)", "", [2, 3]),
    node(2, "runCpu", "src/workers/cpu.ts", [4]),
    node(3, "(garbage collector)", ""),
    node(4, "recordThread", "src/main/profile/recording.ts", [5, 6]),
    node(5, "post", "node:inspector"),
    node(6, "", "src/main/scenarios/nolock.ts", [7, 8, 9]),
    node(7, "kfree", `${SLUB}kfree.ts`, [10]),
    node(8, "kmem_cache_alloc", `${SLUB}alloc.ts`),
    node(9, "waitForInterrupt", "src/shared/mem/bare_memory.ts"),
    node(10, "__slab_free", `${SLUB}free.ts`, [11]),
    node(11, "kfree", `${SLUB}kfree.ts`), // It calls itself.
  ],
  startTime: 5000,
  endTime: 15_000,
  samples: [5, 8, 10, 11, 9, 3, 2],
  timeDeltas: [1000, 1000, 2000, 1000, 1000, 1000, 1000],
};
