/**
 * One CPU takes an object from a shared word and frees it. Another one reads the word, and writes to the object a little
 * later: in some schedules after its free. `sheaf explore examples/use-after-free.ts` shows one, and what slub debugging
 * has to say about it (docs/DEBUGGING.md): who allocated the object, who freed it, and which byte is not poison any more.
 */
import { get, type Scenario, set } from "../src/main/explore/scenario.ts";
import type { Cpu } from "../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../src/shared/layout/gfp.ts";
import { kfree, kmalloc } from "../src/shared/linux/api.ts";
import { NULL, type Ptr } from "../src/shared/mem/struct.ts";

const SHARED = 0;

function publish(cpu: Cpu): void {
  set(cpu, SHARED, kmalloc(cpu, 50, GFP_KERNEL));
}
function retire(cpu: Cpu): void {
  const object = get(cpu, SHARED) as Ptr;
  set(cpu, SHARED, NULL);
  kfree(cpu, object);
}
function update(cpu: Cpu): void {
  const object = get(cpu, SHARED) as Ptr;
  if (object !== NULL) cpu.mem.store_byte(object + 3, 0x2a); // Nothing keeps the object alive.
}

const scenario: Scenario = {
  name: "use-after-free",
  config: ["debug=FZPU"],
  setup: publish,
  cpus: [[retire], [update]],
  // The same object again: it is looked at before it is given away.
  final: publish,
};
export default scenario;
