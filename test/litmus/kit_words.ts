/** Places in the scenario words for structs that a litmus test needs: addresses of words 16 bytes apart. */
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { element, offsetof, type Ptr } from "../../src/shared/mem/struct.ts";

/** Address of scenario word `i` as a T. Structs here: at most 24 words each, from word 32 on. */
export function at<T extends string>(cpu: Cpu, i: number): Ptr<T> {
  return (cpu.globals + offsetof(element(Globals.offset.scenario, i))) as Ptr<T>;
}
