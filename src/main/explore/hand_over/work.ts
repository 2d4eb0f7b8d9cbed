/** What the threads of the hand-over engine are asked to do, and what they answer. */
import type { MachineShape } from "../../../shared/layout/map.ts";
import type { ExplorerOptions } from "../explore.ts";
import type { Overrides } from "../overrides.ts";
import type { StrategyParameters, StrategyName } from "../strategy_names.ts";
import type { Pick, Schedule } from "../strategy.ts";

/** Those whose whole state lies in words that threads can share. */
type SamplerName = Exclude<StrategyName, "portfolio" | "bounded" | "sleep-sets">;

/** A number of schedules that are repeated, one execution each; or executions of one strategy. */
export type Work =
  | { readonly schedules: readonly Schedule[] }
  | { readonly strategy: SamplerName; readonly parameters: StrategyParameters; readonly executions: number };

/** The payload of each thread. Every thread builds the scenario from its module; memory is shared and booted. */
export interface ThreadTask {
  readonly lane: number;
  readonly file: string;
  readonly scenario: string;
  readonly overrides: Overrides;
  readonly options: ExplorerOptions;
  readonly shape: MachineShape;
  readonly work: Work;
  readonly buffer: SharedArrayBuffer;
  readonly memoryState: SharedArrayBuffer;
  readonly state: SharedArrayBuffer;
  readonly oracle: SharedArrayBuffer | undefined;
  readonly control: SharedArrayBuffer;
  readonly strategyState: SharedArrayBuffer;
  /** Words of a StepLog; undefined: steps are not recorded. */
  readonly steps: SharedArrayBuffer | undefined;
}

/** One execution. */
export interface Executed {
  /** The violated property, or undefined. */
  readonly message: string | undefined;
  readonly steps: number;
  readonly picks: readonly Pick[];
  /** StepLog's digest; "" if steps were not recorded. */
  readonly digest: string;
}
