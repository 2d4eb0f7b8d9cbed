/** get_random_u32()'s per-CPU batch. drivers/char/random.c. */
import { aligned, struct, u32 } from "../mem/struct.ts";

export const BatchedEntropy = struct("batched_entropy", {
  /** 1: its local lock is held. */
  locked: aligned(64, u32),
  /** Where the stream of numbers stands; 0: not yet seeded. */
  state: u32,
});
