/** The order in which a report tells things. */
import { expect } from "vitest";

/** These parts stand in the text, in this order. Each is looked for where it comes first. */
export function expectInOrder(text: string, parts: readonly string[]): void {
  const places = parts.map((part) => text.indexOf(part));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
}
