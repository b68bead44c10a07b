/** The admin listener answers before the first configuration: its calls then see one in which there is nothing. */
import { defaultSettings } from "../config/config.ts";
import type { Live, Snapshot } from "../snapshot.ts";

const nothing: Snapshot = {
  config: {
    format: 1,
    revision: 0,
    ruledBy: "operator",
    region: "local",
    hostNames: [],
    settings: defaultSettings,
    providers: [],
    buckets: [],
  },
  hash: "",
  credentials: new Map(),
  buckets: new Map(),
  made: { get: () => undefined, all: () => [] },
  providers: new Map(),
  kms: new Map(),
  openFailures: new Map(),
};

/** What the admin listener takes for its `live`. */
export function createAdminEntrance(live: Live): Pick<Live, "enter" | "leave" | "peek"> {
  return {
    enter: () => (live.peek() === undefined ? nothing : live.enter()),
    leave(snapshot) {
      if (snapshot !== nothing) live.leave(snapshot);
    },
    peek: live.peek,
  };
}
