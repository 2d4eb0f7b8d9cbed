/**
 * The host side of a run whose CPU 0 has the main thread (main_thread.ts): builds the machine, supervises it, and tells
 * how it ended. The main thread is a CPU then, and blocks as CPUs do.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { CpuOutcome } from "../../workers/cpu.ts";
import { exitCodeOfError } from "../exit_code.ts";
import type { TortureConfig } from "../torture/config.ts";
import type { TortureCpuTask } from "../torture/cpu_thread.ts";
import { runTorture, type TortureResult } from "../torture/run.ts";

/** What this thread sends. It gets one message: how CPU 0 ended. */
export type HostMessage =
  | { readonly cpu0: TortureCpuTask }
  | { readonly result: TortureResult }
  | { readonly refused: string; readonly exitCode: number };

async function host(port: NonNullable<typeof parentPort>): Promise<void> {
  const send = (message: HostMessage): void => port.postMessage(message);
  try {
    const result = await runTorture(workerData as TortureConfig, {
      cpu0: (task) =>
        new Promise((resolve) => {
          port.once("message", (outcome: CpuOutcome) => resolve(outcome));
          send({ cpu0: task as TortureCpuTask });
        }),
    });
    send({ result });
  } catch (error) {
    // Said here: an error that goes to another thread is of no class any more.
    let refused = "";
    const exitCode = exitCodeOfError(error, (message) => (refused = message));
    send({ refused, exitCode });
  }
}

if (parentPort !== null) await host(parentPort);
