/** The whole kernel, for the explorer and for sequential tests. */
import type { Kernel } from "../src/main/explore/explore.ts";
import { next_timer_expiry } from "../src/shared/linux/kernel/timer.ts";
import { bind_all, start_kernel } from "../src/shared/linux/init.ts";

export const KERNEL: Kernel = { bind: bind_all, boot: start_kernel, nextTimer: next_timer_expiry };
