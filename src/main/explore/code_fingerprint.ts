/**
 * Fingerprints in tokens: a few characters that say whether something is what it was when the token was made. The one of
 * the code covers every source file of the program, and the user's file if the scenario comes from one.
 */
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";

/** src in a checkout, dist in the published package. */
const PROGRAM = new URL("../../", import.meta.url);
/** Characters of base64url: 24 bits. */
const LENGTH = 4;

export function fingerprint(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, LENGTH);
}

/** @param file  where the scenario is declared. */
export function codeFingerprint(file: URL): string {
  const hash = createHash("sha256");
  for (const path of globSync("**/*.{ts,js}", { cwd: PROGRAM }).toSorted()) {
    hash
      .update(path)
      .update("\0")
      .update(readFileSync(new URL(path, PROGRAM)));
  }
  if (!file.href.startsWith(PROGRAM.href)) hash.update(readFileSync(file));
  return hash.digest("base64url").slice(0, LENGTH);
}
