/**
 * The log of a CPU (cpu/printk.ts): a ring of records, the oldest of which give way. `head` and `tail` count words and
 * wrap at 2^32. A record is 4 words and its text, one byte a character, zero-padded to whole words.
 */
import { array, struct, u32 } from "../mem/struct.ts";

/** Words of a ring; a power of two. */
export const LOG_WORDS = 2048;
/** Words of a record before its text: bytes of text; level, context << 8; jiffies; number. */
export const LOG_HEADER = 4;
/** Longest text, bytes: half a ring. The rest is cut off. */
export const LOG_TEXT_BYTES = 2 * LOG_WORDS;

export const PrintkRing = struct(
  "printk_ring",
  {
    /** Words ever written, and words ever overwritten. */
    head: u32,
    tail: u32,
    /** Records that were overwritten. */
    lost: u32,
    words: array(u32, LOG_WORDS),
  },
  { align: 64 },
);

// Levels: include/linux/kern_levels.h.
export const KERN_ERR = 3;
export const KERN_WARNING = 4;
export const KERN_INFO = 6;
