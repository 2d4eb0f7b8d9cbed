/**
 * Subject: a scenario of the catalogue under its overrides, on a machine that can execute it any number of times; and
 * the way from there to a token and back.
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import { clashOf } from "../config_option.ts";
import { UsageError } from "../errors.ts";
import { type CatalogueEntry, findScenarios } from "./catalogue.ts";
import { codeFingerprint } from "./code_fingerprint.ts";
import { configurationFingerprint, describeConfiguration } from "./configuration.ts";
import { Explorer, type ExplorerOptions } from "./explore.ts";
import { differing, modelOf, type Overrides, withOverrides } from "./overrides.ts";
import { type Execution, verdictOf } from "./playback.ts";
import { globalsOf, type Scenario } from "./scenario.ts";
import type { Token } from "./token.ts";

export interface Subject {
  readonly entry: CatalogueEntry;
  /** Only those that change anything. */
  readonly overrides: Overrides;
  /** As it is explored, with the overrides. */
  readonly scenario: Scenario;
  readonly explorer: Explorer;
}

/**
 * @param options  what a search asks for besides; a schedule means the same without
 * @throws UsageError  no machine can be built for it, or its set-up fails
 */
export function openSubject(
  entry: CatalogueEntry,
  wanted: Overrides,
  options: Omit<ExplorerOptions, "model"> = {},
): Subject {
  const overrides = differing(entry.scenario, wanted);
  const scenario = withOverrides(entry.scenario, overrides);
  const clash = clashOf(globalsOf(scenario));
  if (clash !== undefined) {
    throw new UsageError(`scenario ${scenario.name}: --config ${clash.join(" and ")} exclude each other`);
  }
  try {
    return { entry, overrides, scenario, explorer: new Explorer(scenario, { ...options, model: modelOf(overrides) }) };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    if (error instanceof MachineBug)
      throw new UsageError(`scenario ${scenario.name}: its setup fails: ${error.message}`);
    throw error;
  }
}

/** What reproduces the execution. */
export function tokenOf({ entry, overrides, scenario }: Subject, execution: Execution): Token {
  return {
    scenario: entry.name,
    overrides,
    configuration: configurationFingerprint(scenario, modelOf(overrides)),
    code: codeFingerprint(entry.file),
    schedule: execution.picks,
    verdict: verdictOf(execution),
  };
}

/** @throws UsageError  the scenario is not here, or it has another configuration than that of the token */
export async function subjectOf(token: Token): Promise<Subject> {
  const [entry, ...more] = await findScenarios([token.scenario]);
  if (more.length > 0) throw new UsageError(`${token.scenario} has several scenarios now, the token was made with one`);
  const subject = openSubject(entry, token.overrides);
  const model = modelOf(subject.overrides);
  const now = configurationFingerprint(subject.scenario, model);
  if (now !== token.configuration) {
    const text = describeConfiguration(subject.scenario, model);
    throw new UsageError(
      `${token.scenario} was configured as ${token.configuration} when the token was made, now it is ${now} (${text})`,
    );
  }
  return subject;
}
