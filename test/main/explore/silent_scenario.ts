/** A scenario whose program takes no step on a worker thread, for ever; on the main thread it is fine. */
import { isMainThread } from "node:worker_threads";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { scenario, set } from "../../../src/main/explore/scenario.ts";

const forever = (): boolean => !isMainThread;

export default scenario({
  name: "silent",
  kernel: BARE_KERNEL,
  cpus: [
    [
      (cpu) => {
        set(cpu, 0, 1);
        while (forever());
      },
    ],
  ],
});
