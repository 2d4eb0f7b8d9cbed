/** Ctrl-C: the first one ends a run in order, the second one ends the process. */
import { EXIT_INTERRUPTED } from "./exit_code.ts";

/** Signals that come closer together are one: whoever signals a whole process group reaches us through the launcher, too. */
const ONE_SIGNAL_MS = 250;

export function listenForInterrupt(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (!controller.signal.aborted) {
      firstMs = performance.now();
      controller.abort();
    } else if (performance.now() - firstMs >= ONE_SIGNAL_MS) {
      process.exit(EXIT_INTERRUPTED);
    }
  };
  process.on("SIGINT", onSignal);
  return { signal: controller.signal, dispose: () => void process.off("SIGINT", onSignal) };
}
