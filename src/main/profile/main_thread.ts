/**
 * A torture run with CPU 0 on the main thread, for tools that look at that one only, such as clinic (`npm run flame`):
 *
 *   node dist/main/profile/main_thread.js [OPTIONS of sheaf torture]
 *
 * The host side, the other CPUs and the controller are on workers. While CPU 0 runs, this thread handles no event, so
 * Ctrl-C ends the process as it would end any.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { exitCodeOf, exitCodeOfError } from "../exit_code.ts";
import { threadModule } from "../machine.ts";
import { parseOptions } from "../options.ts";
import { parseTortureConfig, TORTURE_OPTIONS, type TortureConfig } from "../torture/config.ts";
import cpuThread from "../torture/cpu_thread.ts";
import type { HostMessage } from "./host_thread.ts";

async function run(config: TortureConfig): Promise<number> {
  const host = new Worker(threadModule("./host_thread", import.meta.url), { workerData: config });
  for (;;) {
    const [message] = (await once(host, "message")) as [HostMessage];
    if ("cpu0" in message) {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
      host.postMessage(cpuThread(message.cpu0));
    } else if ("refused" in message) {
      sayError(message.refused);
      return message.exitCode;
    } else {
      const { verdict, failures } = message.result;
      for (const failure of failures) console.log(`!!! ${verdict}: ${failure}`);
      return exitCodeOf(message.result);
    }
  }
}

function sayError(message: string): void {
  console.error(`flame: ${message}`);
}

try {
  process.exitCode = await run(parseTortureConfig(parseOptions(process.argv.slice(2), TORTURE_OPTIONS, 0)));
} catch (error) {
  process.exitCode = exitCodeOfError(error, sayError);
}
