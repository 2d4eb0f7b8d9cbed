/** Which steps of an execution a reader has to see. */
import { expect, test } from "vitest";
import { relevance, ROUTINE, SHARED } from "../../../src/main/report/relevance.ts";
import type { Step } from "../../../src/main/report/trace.ts";
import { Story } from "./story.ts";

const LOCK = "cpu0.things.lock.acquired";
const field = { field: "local_trylock.acquired" };

/** An NMI tries the sheaf lock while the task holds it, or after it has given it back. @returns the score of its look. */
function scoreOfLook(held: boolean): number | undefined {
  const story = new Story(1);
  const lock = "kmalloc_nolock alloc_from_pcs local_trylock __local_trylock";
  const unlock = "kmalloc_nolock alloc_from_pcs local_unlock __local_unlock";
  const task = story.task(0);
  story.read(task, lock, LOCK, "free", field);
  story.write(task, lock, LOCK, "free", "held", field);
  if (!held) story.write(task, unlock, LOCK, "held", "free", field);
  const nmi = story.nmi(task);
  story.read(nmi, `nmi ${lock}`, LOCK, held ? "held" : "free", field);
  if (!held) story.write(nmi, `nmi ${lock}`, LOCK, "free", "held", field);
  if (!held) story.write(nmi, `nmi ${unlock}`, LOCK, "held", "free", field);
  story.end(nmi);
  if (held) story.write(task, unlock, LOCK, "held", "free", field);
  story.end(task);
  const look = story.events.find((event): event is Step => event.what === "step" && event.frame === nmi);
  return look === undefined ? undefined : relevance(story.trace()).get(look);
}

test("a lock that was refused is part of what happened; one that was free whenever somebody wanted it is not", () => {
  expect(scoreOfLook(true)).toBeGreaterThanOrEqual(SHARED);
  expect(scoreOfLook(false)).toBeLessThanOrEqual(ROUTINE);
});
