/**
 * Store buffers, for --tso and --pso: a CPU's plain stores and write_once wait here, are seen by the CPU itself and its
 * interrupts at once, and reach memory later: when the schedule says so, or when the CPU makes a read-modify-write or a
 * full barrier. One FIFO for each CPU (x86-TSO: Owens, Sarkar, Sewell, "A Better x86 Memory Model: x86-TSO", TPHOLs
 * 2009), or one for each CPU and address (PSO). Loads are never late.
 *
 * The entries lie in the lane's shared words, oldest first.
 */
import { L_BUFFER, L_BUFFERED, type Lane, MAX_BUFFERED } from "./lane.ts";

export type MemoryModel = "sc" | "tso" | "pso";

export function isFull(lane: Lane): boolean {
  return lane.s[L_BUFFERED] === MAX_BUFFERED;
}
export function append(lane: Lane, index: number, value: number): void {
  const { s } = lane;
  const at = L_BUFFER + 2 * s[L_BUFFERED]++;
  s[at] = index;
  s[at + 1] = value;
}
/** Position of the newest entry for a word, or -1. */
export function newest(lane: Lane, index: number): number {
  const { s } = lane;
  for (let n = s[L_BUFFERED] - 1; n >= 0; n--) if (s[L_BUFFER + 2 * n] === index) return n;
  return -1;
}
export function wordAt(lane: Lane, n: number): number {
  return lane.s[L_BUFFER + 2 * n];
}
export function valueAt(lane: Lane, n: number): number {
  return lane.s[L_BUFFER + 2 * n + 1];
}
/** May entry `n` reach memory before all older ones? With one FIFO: only the oldest. */
export function mayDrain(lane: Lane, n: number, model: MemoryModel): boolean {
  if (n === 0) return true;
  if (model !== "pso") return false;
  const index = wordAt(lane, n);
  for (let older = 0; older < n; older++) if (wordAt(lane, older) === index) return false;
  return true;
}
export function remove(lane: Lane, n: number): void {
  const { s } = lane;
  const left = --s[L_BUFFERED];
  s.copyWithin(L_BUFFER + 2 * n, L_BUFFER + 2 * n + 2, L_BUFFER + 2 * left + 2);
}
