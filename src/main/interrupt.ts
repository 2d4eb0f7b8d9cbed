/** Ctrl-C: the first one ends a run in order, the second one ends the process. */
import { EXIT_INTERRUPTED } from "./exit_code.ts";

export function listenForInterrupt(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort();
  };
  process.on("SIGINT", onSignal);
  return { signal: controller.signal, dispose: () => void process.off("SIGINT", onSignal) };
}
