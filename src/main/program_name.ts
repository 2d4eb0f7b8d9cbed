/** What the user calls this program, for commands that are printed to be given again. */

/** As the user came here: in a checkout there is no `sheaf` on the path. */
export function programName(): string {
  return process.env["npm_lifecycle_event"] === "start" ? "npm start --" : "sheaf";
}
