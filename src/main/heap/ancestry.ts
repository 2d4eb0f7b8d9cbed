/**
 * Ancestry: the workers that a thread is a worker of. It dies with each of them, and its own parent, which would have
 * freed its slot, may then be dead as well: whoever watches the ancestor does it. Node tells a worker nothing of its
 * ancestors but what these hand down as environment data.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData, threadId } from "node:worker_threads";
import type { Memory } from "../../shared/mem/memory.ts";
import { element, type Ptr } from "../../shared/mem/struct.ts";
import { HeapSlot, MAX_ANCESTORS } from "./layout.ts";

const KEY = "sheaf/heap: ancestors";
const { ancestors: ANCESTORS } = HeapSlot.offset;

type SlotMemory = Pick<Memory, "read_once" | "write_once">;

/** Workers that this thread creates from now on know that they are its workers. The main thread outlives them all. */
export function handDownAncestry(): void {
  if (!isMainThread) setEnvironmentData(KEY, [...ancestors(), threadId]);
}
/** What this thread was told, without itself: it may have handed down already. */
function ancestors(): number[] {
  const told = getEnvironmentData(KEY) as readonly number[] | undefined;
  return (told ?? []).filter((id) => id !== threadId);
}

/** Notes in the slot, which this thread has claimed, with whom it dies. */
export function note_ancestors(mem: SlotMemory, slot: Ptr<"heap_slot">): void {
  for (const [i, id] of ancestors().slice(-MAX_ANCESTORS).entries()) mem.write_once(slot, element(ANCESTORS, i), id);
}
/** Before the slot is free: the next one has others. */
export function forget_ancestors(mem: SlotMemory, slot: Ptr<"heap_slot">): void {
  for (let i = 0; i < MAX_ANCESTORS; i++) mem.write_once(slot, element(ANCESTORS, i), 0);
}
/** Does the thread of the slot die with thread `id`? */
export function dies_with(mem: SlotMemory, slot: Ptr<"heap_slot">, id: number): boolean {
  for (let i = 0; i < MAX_ANCESTORS; i++) if (mem.read_once(slot, element(ANCESTORS, i)) === id) return true;
  return false;
}
