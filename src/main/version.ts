/** Which sheaf this is, and which kernel it follows. */
import { readFileSync } from "node:fs";

/** The kernel whose algorithms these are. */
export const KERNEL_BASELINE = "7.3-rc5 (merge 4e9a2de02fed)";

/** The version in package.json, which lies two folders up both in a checkout and in the published package. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "?";
}

export function versionLine(): string {
  return `sheaf ${packageVersion()}, after Linux ${KERNEL_BASELINE}, on Node ${process.versions.node}`;
}
