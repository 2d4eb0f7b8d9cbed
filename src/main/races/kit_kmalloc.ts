/** Things of kmalloc() and kmalloc_nolock(): of a bucket that nothing else uses, with two slots a sheaf. */
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { kfree, kmalloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kmalloc_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import type { Operation } from "../explore/scenario.ts";
import { makeThings, put, take } from "./kit.ts";
import { freeNolock } from "./kit_frees.ts";

export const SIZE = 1024;
/** Slots of a sheaf of that size, globals.tiny being 1. */
export const SIZE_CAPACITY = 2;
/** Things that an NMI frees and gets. More freed than got: else the sheaf were as before. */
const NMI_FREES = [6, 7];
export const NMI_GETS = 8;
/** The first one that a task gets. */
export const TASK_GETS = 9;

/** Makes `count` things of the bucket for `size`. */
export const makeOfBucket =
  (count: number, size = SIZE): Operation =>
  (cpu) =>
    makeThings(cpu, kmalloc_slab(cpu, size, 0), count);
export const kmallocAs =
  (i: number, size = SIZE): Operation =>
  (cpu) =>
    put(cpu, i, kmalloc(cpu, size, GFP_ATOMIC));
export const kmallocNolockAs =
  (i: number, size = SIZE): Operation =>
  (cpu) =>
    put(cpu, i, kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE));
export const kfreeThing =
  (i: number): Operation =>
  (cpu) =>
    kfree(cpu, take(cpu, i));
/** An NMI on CPU `id` that works on its sheaves. */
export const nmiTraffic =
  (id: number): Operation =>
  (cpu) => {
    if (cpu.id !== id) return;
    for (const i of NMI_FREES) freeNolock(i)(cpu);
    kmallocNolockAs(NMI_GETS)(cpu);
  };
