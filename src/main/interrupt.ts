/** Ctrl-C: the first one ends a run in order, the second one ends the process. */
import { EXIT_INTERRUPTED } from "./exit_code.ts";

/** Signals that come closer together are one: whoever signals a whole process group reaches us through the launcher, too. */
const ONE_SIGNAL_MS = 250;

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Ends the run in order, as the first Ctrl-C does. Again: does nothing. */
  readonly end: () => void;
  readonly dispose: () => void;
}

export function listenForInterrupt(): Interrupt {
  const controller = new AbortController();
  const { signal } = controller;
  let firstMs = 0;
  const end = (): void => {
    if (signal.aborted) return;
    firstMs = performance.now();
    controller.abort();
  };
  const onSignal = (): void => {
    if (!signal.aborted) end();
    else if (performance.now() - firstMs >= ONE_SIGNAL_MS) process.exit(EXIT_INTERRUPTED);
  };
  process.on("SIGINT", onSignal);
  return { signal, end, dispose: () => void process.off("SIGINT", onSignal) };
}
