/** What a failure prints, and its JSON. */
import { expect, test } from "vitest";
import { SWITCH, NMI } from "../../../src/main/explore/strategy.ts";
import { WIDTH } from "../../../src/main/report/columns.ts";
import { describeFailure, failureJson } from "../../../src/main/report/interleaving.ts";
import { expectInOrder } from "./in_order.ts";
import { nestedProducer, Story } from "./story.ts";

const failure = {
  message: [
    "CPU 1: object 0xea040: missed by kvfree_rcu_barrier_on_cache() on CPU 1: its free had returned before \u2192",
    "  object 1 of 64 in the slab at 0xea000, cache things, 64 bytes",
    "  ticket 204, CPU 0 in task: transit -> user",
    "  ticket 208, CPU 0 in nmi: user -> deferred_rcu",
  ].join("\n"),
  schedule: [
    { lane: 0, access: 23, choice: NMI },
    { lane: 0, access: 53, choice: SWITCH + 1 },
  ],
  strategy: "PCT, depth 3",
};
const origin = { scenario: "6.4a", seed: 7, token: "TOKEN", replayCommand: "sheaf replay TOKEN" };
const trace = nestedProducer().trace({
  objects: new Map([[0xea040, "things#1"]]),
  finalState: ["CPU 0: task", "  in llist_add()"],
});

test("the property first, then columns, state, the object's life, and how to see it again", () => {
  const lines = describeFailure(failure, trace, origin);
  const text = lines.join("\n");
  const order = [
    "FAILURE of 6.4a: CPU 1: object things#1 (0xea040): missed by",
    "  object 1 of 64 in the slab",
    "CPU 0  ",
    "<NMI>",
    "--- CPU 1 runs (CPU 0 preempted)",
    "--- CPU 1 notices the failure",
    "How the machine stands:\n  CPU 0: task\n    in llist_add()",
    "The object's life:\n  ticket 204, CPU 0 in task: transit -> user\n  ticket 208",
    "Found by PCT, depth 3, seed 7.",
    "Decisions: NMI before access 23 of CPU 0; CPU 1 runs before access 53 of CPU 0.",
    "Token:  TOKEN",
    "Replay: sheaf replay TOKEN",
  ];
  expectInOrder(text, order);
  expect(text).not.toContain("Shrink:");
});

test("it can be pasted into a mail", () => {
  for (const line of describeFailure(failure, trace, origin)) {
    expect(line).toMatch(/^[\x20-\x7e]*$/);
    expect(line.length).toBeLessThanOrEqual(WIDTH);
  }
});

test("the JSON has every step", () => {
  const json: unknown = JSON.parse(JSON.stringify(failureJson(failure, trace, origin)));
  expect(json).toMatchObject({
    scenario: "6.4a",
    biography: [{}, {}].map(() => expect.stringContaining("ticket") as string),
    decisions: [{ lane: 0, access: 23, text: "NMI before access 23 of CPU 0" }, { lane: 0 }],
    token: "TOKEN",
    replay: "sheaf replay TOKEN",
  });
  expect(json).toHaveProperty("steps_left_out", 0);
  expect(json).toHaveProperty("steps.length", 26);
  expect(json).toHaveProperty("steps.3", {
    cpu: 0,
    context: "nmi",
    frame: "NMI",
    path: ["nmi", "kfree_rcu_nolock", "push", "llist_add"],
    method: "read_once",
    word: "cpu0.deferred_percpu_work.objects_by_rcu",
    writes: false,
    before: "things#0+8",
    after: "things#0+8",
  });
});

test("the JSON of a long execution has its last steps, and says how many it lacks", () => {
  const story = new Story(1);
  const task = story.task(0);
  for (let i = 1; i <= 2_345; i++) story.write(task, "count", "x0", `${i - 1}`, `${i}`);
  const json = failureJson(failure, story.trace(), origin);
  expect(json).toMatchObject({ steps_left_out: 345 });
  expect(json).toHaveProperty("steps.length", 2_000);
  expect(json).toHaveProperty("steps.1999.after", "2345");
});
