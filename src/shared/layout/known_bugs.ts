/** The table of known bugs, in the order of their numbers. */
import type { KnownBug } from "./bugs.ts";
import { RCU_BUGS } from "./bugs_rcu.ts";
import { SLAB_BUGS } from "./bugs_slab.ts";

export const KNOWN_BUGS: readonly KnownBug[] = [...SLAB_BUGS, ...RCU_BUGS];
