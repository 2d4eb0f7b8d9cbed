/**
 * Who may run kernel code as the CPU of a slot: its own thread, for the length of a call; or, between calls, any thread
 * that has work for it. A word per slot: 0, or the token of the one who does, with OWNER_WAITERS if somebody waits.
 *
 * Its own thread takes it anew for each call, and has it at no other time: so it does not matter what the thread does
 * between calls. It may compute for hours, block in a wait of its own, sit in its event loop, or be dead.
 *
 * Work for a CPU is announced in its pending word, then done by serve(), which only tries for the owner word. None is
 * left behind: whoever has the word gives it back, then looks at the pending word. Both are sequentially consistent, so
 * either the one who announced finds the word free, or the one who had it finds the work. docs/adr/0011.
 */
import type { Memory } from "../../shared/mem/memory.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { HeapSlot } from "./layout.ts";

const { owner: OWNER } = HeapSlot.offset;

/** In the owner word: the one who gives it back has to wake others. */
export const OWNER_WAITERS = 0x100;
export const OWNER_MASK = OWNER_WAITERS - 1;
/** Token of a thread that has no slot: it reaps those of others. Tokens of the others: slot + 1. */
export const REAPER_TOKEN = 0xff;

type Slot = Ptr<"heap_slot">;
type WordMemory = Pick<Memory, "cmpxchg" | "xchg" | "read_once">;

/** @returns false: somebody else has it. */
export function claim(mem: WordMemory, slot: Slot, token: number): boolean {
  return mem.cmpxchg(slot, OWNER, 0, token) === 0;
}
/** Says that the caller is going to wait for the word. @returns its value; 0: it has become free. */
export function announce_waiter(mem: WordMemory, slot: Slot): number {
  let found = mem.read_once(slot, OWNER);
  while (found !== 0 && (found & OWNER_WAITERS) === 0) {
    const before = found;
    found = mem.cmpxchg(slot, OWNER, before, before | OWNER_WAITERS);
    if (found === before) return before | OWNER_WAITERS;
  }
  return found;
}
/** Gives it back. @returns whether somebody waits for it. @pairs announce_waiter(): has said so, or sees 0. */
export function release(mem: WordMemory, slot: Slot): boolean {
  return (mem.xchg(slot, OWNER, 0) & OWNER_WAITERS) !== 0;
}
/**
 * serve() - have the work done that has been announced for a slot.
 * @param due   is there any?
 * @param work  does what is due, as the slot's CPU. It runs with the word claimed; serve() gives it back by `leave`.
 * @pairs release()
 */
export function serve(
  mem: WordMemory,
  slot: Slot,
  token: number,
  due: () => boolean,
  work: () => void,
  leave: () => void,
): void {
  while (due()) {
    if (!claim(mem, slot, token)) return; // Whoever has it looks after it has given it back.
    work();
    leave();
  }
}
