/** A torture run that somebody looks at while it goes on: the machine stops once he has seen enough. */
import { setTimeout as delay } from "node:timers/promises";
import type { Machine } from "../machine.ts";
import { type SupervisedRun, supervise } from "../supervise.ts";
import type { TortureConfig } from "../torture/config.ts";
import { buildMachine } from "../torture/run.ts";

/**
 * Runs a machine until `look` has returned. `ended` is aborted when the machine ends of itself, or is to end early: then
 * `look` is to return soon.
 */
export async function lookAtTorture(
  config: TortureConfig,
  look: (machine: Machine, ended: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<SupervisedRun> {
  const machine = buildMachine(config);
  const over = new AbortController();
  void machine.outcomes.then(() => over.abort());
  const ended = AbortSignal.any([over.signal, signal]);
  const looking = machine.booted
    .then(async (isUp) => (isUp ? look(machine, ended) : undefined))
    .finally(() => machine.stop());
  looking.catch(() => undefined); // Thrown again below: until then nobody waits for it.
  const run = await supervise(machine, { durationMs: Infinity, signal });
  await looking;
  return run;
}

/** Waits; shorter if the signal comes. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
