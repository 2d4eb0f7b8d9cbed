/**
 * Files under /sys/kernel/slab are written from outside: a request that one CPU serves, whoever comes by first, and whose
 * cache may be going away. Spec slub 10.2.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { KmemCache } from "../../shared/layout/slab.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { serve_sysfs_write } from "../../shared/linux/mm/slub/sysfs.ts";
import { get, set, type Operation } from "../explore/scenario.ts";
import { postWrite, takeResult } from "../slab/write.ts";
import { cache, FIRST_WORD, makeCache, makeThings, race } from "./kit.ts";
import { slabFree } from "./kit_frees.ts";

const { min_partial: MIN_PARTIAL } = KmemCache.offset;
const ENOENT = -2;
/** Word: what has been written last. */
const WRITTEN = FIRST_WORD;

const setup =
  (file: string, text: string): Operation =>
  (cpu) => {
    makeThings(cpu, makeCache(cpu), 1);
    write(cpu, file, text);
  };
function write(cpu: Cpu, file: string, text: string): void {
  set(cpu, WRITTEN, Number(text));
  postWrite(cpu, "things", file, text);
}
/** The host sees that a request has been served, and leaves the next one. */
const writeAgain: Operation = (cpu) => {
  if (takeResult(cpu) !== undefined) write(cpu, "min_partial", "9");
};

export default [
  race({
    name: "sysfs-claim",
    summary: "two CPUs come by a request to write a file: one serves it, and then there may be another one",
    setup: setup("min_partial", "8"),
    cpus: [[serve_sysfs_write, writeAgain], [serve_sysfs_write]],
    final: serve_sysfs_write,
    check: (cpu) => {
      if (takeResult(cpu) !== 0) return "the request has not been served";
      const [found, written] = [cpu.mem.peek(cache(cpu), MIN_PARTIAL), get(cpu, WRITTEN)];
      return found === written ? undefined : `min_partial is ${found}, but ${written} was written last`;
    },
  }),
  race({
    name: "sysfs-destroy",
    summary: "a cache is shrunk through its file while it is destroyed",
    setup: setup("shrink", "1"),
    cpus: [[slabFree(0), (cpu) => void kmem_cache_destroy(cpu, cache(cpu))], [serve_sysfs_write]],
    check: (cpu) => ([0, ENOENT].includes(takeResult(cpu) ?? 1) ? undefined : "the request has not been served"),
  }),
];
