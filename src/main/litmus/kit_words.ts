/** Places in the scenario words for the structs of a litmus test. Words below 32 are its variables (get, set). */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { element, offsetof, type Ptr } from "../../shared/mem/struct.ts";
import { resultOf } from "../explore/scenario.ts";

/** Address of scenario word `i`, which lies 4 bytes behind that of word i - 1. Words from 128 on hold results. */
export function at<T extends string>(cpu: Cpu, i: number): Ptr<T> {
  return (cpu.globals + offsetof(element(Globals.offset.scenario, i))) as Ptr<T>;
}

/** Are r0, r1, ... these values? For `observed`. */
export function registers(...values: readonly number[]): (cpu: Cpu) => boolean {
  return (cpu) => values.every((value, i) => resultOf(cpu, i) === value);
}
