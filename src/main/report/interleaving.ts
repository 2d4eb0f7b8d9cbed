/**
 * What a failure that the explorer found prints: the violated property, the interleaving in columns, how the machine
 * stands, the object's life, and how to see it again. Plain ASCII of less than 100 columns, to be pasted into a mail.
 */
import type { Failure } from "../explore/explore.ts";
import { DRAIN, GO, IRQ, MIGRATE, NMI, NMI_TO, SWITCH, TICK, TIME, type Schedule } from "../explore/strategy.ts";
import { columns, WIDTH } from "./columns.ts";
import { shorten } from "./outline.ts";
import { pageOf } from "./selection.ts";
import type { Trace } from "./trace.ts";
import { bits, PENDING_BITS } from "./values.ts";
import { toAscii, wrap } from "./wrap.ts";

/** What is told of a failure. */
type Found = Pick<Failure, "message" | "schedule" | "strategy">;
/** Where a failure comes from, and how to see it again; what is not known is left out. */
export interface FailureOrigin {
  readonly scenario: string;
  readonly seed?: number;
  readonly token?: string;
  readonly replayCommand?: string;
  readonly shrinkCommand?: string;
}

/** Decisions that are spelt out; a failure that has been shrunk has fewer. */
const MOST_DECISIONS = 12;
/** Steps in the JSON; of a longer execution it has the last ones. */
const MOST_STEPS = 2_000;
const LEVEL_NAMES = ["task", "irq", "nmi"] as const;

/** @param trace  of a replay of failure.schedule. */
export function describeFailure(failure: Found, trace: Trace, origin: FailureOrigin): readonly string[] {
  const { property, about, biography } = partsOf(failure, trace);
  const { seed, token, replayCommand, shrinkCommand } = origin;
  const decisions = failure.schedule.slice(0, MOST_DECISIONS).map((pick) => describePick(pick, trace.names));
  const more = failure.schedule.length - decisions.length;
  if (more > 0) decisions.push(`and ${more} more`);
  const lines = [
    ...paragraph(`FAILURE of ${origin.scenario}: ${property}`, 0),
    ...about.flatMap((line) => paragraph(line, 2)),
    "",
    ...columns([...pageOf(trace), { line: ending(property) }], trace.names),
    "",
    "How the machine stands:",
    ...trace.finalState.flatMap((line) =>
      paragraph(shorten(line.trimStart()), line.length - line.trimStart().length + 2),
    ),
    ...section("The object's life:", biography),
    "",
    ...paragraph(`Found by ${failure.strategy}${seed === undefined ? "" : `, seed ${seed}`}.`, 0),
    ...paragraph(`Decisions: ${decisions.length === 0 ? "none" : decisions.join("; ")}.`, 0),
    ...(token === undefined ? [] : [`Token:  ${token}`]),
    ...(replayCommand === undefined ? [] : [`Replay: ${replayCommand}`]),
    ...(shrinkCommand === undefined ? [] : [`Shrink: ${shrinkCommand}`]),
  ];
  return lines.map(toAscii);
}

/** The same for programs. Its keys are an interface: add to them, change none. */
export function failureJson(failure: Found, trace: Trace, origin: FailureOrigin): object {
  const { property, about, biography } = partsOf(failure, trace);
  const steps = trace.events.filter((event) => event.what === "step");
  const told = steps.slice(-MOST_STEPS);
  return {
    scenario: origin.scenario,
    property,
    about,
    biography,
    strategy: failure.strategy,
    seed: origin.seed,
    decisions: failure.schedule.map((pick) => ({ ...pick, text: describePick(pick, trace.names) })),
    steps_left_out: steps.length - told.length,
    steps: told.map(({ frame, path, method, word, writes, before, after }) => {
      const { cpu, level, name } = frame;
      return { cpu, context: LEVEL_NAMES[level], frame: name, path, method, word, writes, before, after };
    }),
    final_state: trace.finalState,
    token: origin.token,
    replay: origin.replayCommand,
    shrink: origin.shrinkCommand,
  };
}

interface Parts {
  readonly property: string;
  /** Which object it is about. */
  readonly about: readonly string[];
  readonly biography: readonly string[];
}
/** Messages of an oracle have the object and its biography in lines of their own. */
function partsOf({ message }: Found, { objects }: Trace): Parts {
  const named = message.replaceAll(/\bobject (0x[0-9a-f]+)/g, (text, address: string) => {
    const name = objects.get(Number(address));
    return name === undefined ? text : `object ${name} (${address})`;
  });
  const [property, ...rest] = named.split("\n").map((line) => line.trim());
  const isMove = (line: string): boolean => line.startsWith("ticket ");
  return { property, about: rest.filter((line) => !isMove(line)), biography: rest.filter(isMove) };
}

function ending(property: string): string {
  const cpu = /^CPU \d+(?=: )/.exec(property)?.[0];
  return cpu === undefined ? "the check fails" : `${cpu} notices the failure`;
}

/** A decision in words: "NMI before access 23 of CPU 0". */
function describePick({ lane, access, choice }: Schedule[number], names: readonly string[]): string {
  const when = `before access ${access} of ${names[lane]}`;
  if (choice === NMI) return `NMI ${when}`;
  if (choice === TICK || choice === TIME) return `tick ${when}`;
  if (choice >= DRAIN) return `a store of ${names[(choice - DRAIN) & 15]} reaches memory ${when}`;
  if (choice >= MIGRATE) return `the tasks of CPUs ${lane} and ${choice - MIGRATE} exchange their CPUs ${when}`;
  if (choice >= IRQ) return `${bits(PENDING_BITS, 1 << (choice - IRQ))} interrupt ${when}`;
  if (choice >= NMI_TO) return `NMI on ${names[choice - NMI_TO]} ${when}`;
  return choice === GO ? `${names[lane]} goes on ${when}` : `${names[choice - SWITCH]} runs ${when}`;
}

const paragraph = (text: string, indent: number): readonly string[] => wrap(text, WIDTH, indent, 2);
function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.flatMap((line) => paragraph(line, 2))];
}
