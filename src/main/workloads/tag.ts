/**
 * Tags: a stamp at the head and at the end of an object, new for each. Who has found an object under RCU looks at the tag
 * again and again: another stamp means that the object was freed under its readers (rcu I-RCU-8). Any context.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { object_bug } from "../../shared/cpu/oracle.ts";
import { cpu_random } from "../../shared/cpu/random.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { WorkloadTag } from "../../shared/layout/workloads.ts";
import type { Ptr } from "../../shared/mem/struct.ts";

const { unbatched: UNBATCHED } = Globals.offset;
const { stamp: STAMP, bytes: BYTES } = WorkloadTag.offset;

/** Bytes of the tag's second copy. */
export const TAG_END = 8;
const MAX_BYTES = 1 << 20;

type Tag = Ptr<"workload_tag">;

/** Objects with a struct kvfree_rcu_head and a tag right behind it cannot be freed by call_rcu(). @context Task, set-up */
export function assert_batching(cpu: Cpu): void {
  if (cpu.mem.peek(cpu.globals, UNBATCHED) !== 0) bug(cpu, "heads are too short without batching: leave out unbatched");
}

/** Tags a new object of `bytes` bytes, which nobody else can see yet. Its last TAG_END bytes are the tag's. */
export function tag_object(cpu: Cpu, object: Ptr, tag: Tag, bytes: number): void {
  const stamp = cpu_random(cpu) | 1;
  cpu.mem.init(tag, STAMP, stamp);
  cpu.mem.init(tag, BYTES, bytes);
  cpu.mem.store_word(object + bytes - 4, stamp);
}

/** Is the object whole, and still the one with this stamp? @returns its stamp. */
export function check_tag(cpu: Cpu, object: Ptr, tag: Tag, holder: string, stamp?: number): number {
  const { mem } = cpu;
  const found = mem.read(tag, STAMP);
  const bytes = mem.read(tag, BYTES);
  const end = bytes >= TAG_END && bytes <= MAX_BYTES ? mem.load_word(object + bytes - 4) : undefined;
  if (found !== (stamp ?? found) || found !== end) {
    const words = `stamp 0x${(found >>> 0).toString(16)}, size ${bytes}`;
    object_bug(cpu, object, `${holder}: object 0x${object.toString(16)} changed under its holder: ${words}`);
  }
  return found;
}
