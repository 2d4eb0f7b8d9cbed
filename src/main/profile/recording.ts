/** Records what the calling thread does with V8's sampling profiler, which looks at one thread only. */
import { type Profiler, Session } from "node:inspector";

/** Samples are this far apart, at best. */
const INTERVAL_US = 1000;

/** Runs `work`, which does not await. `done` gets the profile, even if `work` throws. */
export function recordThread(work: () => void, done: (profile: Profiler.Profile) => void): void {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: INTERVAL_US });
  session.post("Profiler.start");
  try {
    work();
  } finally {
    // A session with the own thread answers before post() returns.
    session.post("Profiler.stop", (error, { profile }) => {
      if (error === null) done(profile);
    });
    session.disconnect();
  }
}
