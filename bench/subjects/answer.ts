/** How a process that is measured ends: with its Sample on standard output, or with one line that says what failed. */
import type { Sample } from "./job.ts";

/** Threads that still wait for one that has failed end with the process. */
export async function answer(run: () => Promise<Sample>): Promise<never> {
  try {
    console.log(JSON.stringify(await run()));
    process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}
