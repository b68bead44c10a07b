// When a schedule is due. Pure: the clock is a parameter; no timer is ever started.

import { Cron } from "croner";

/** What is wrong with a schedule that the schema let through. */
export interface ScheduleProblem {
  readonly reason: "ScheduleInvalid" | "TimeZoneUnknown";
  readonly message: string;
}

/** The first date after `after` that five fields of cron name, in that time zone, UTC if there is none. undefined: never
 *  again. */
export function nextDate(
  schedule: string,
  timeZone: string | undefined,
  after: Date,
): { readonly date: Date | undefined } | { readonly problem: ScheduleProblem } {
  const zone = timeZone ?? "UTC";
  if (!isTimeZone(zone)) {
    const message = `spec.keyRotation.timeZone "${zone}" is not known: write it as in Europe/Berlin`;
    return { problem: { reason: "TimeZoneUnknown", message } };
  }
  try {
    const cron = new Cron(schedule, { mode: "5-part", paused: true, timezone: zone });
    return { date: cron.nextRun(after) ?? undefined };
  } catch (error) {
    const why = error instanceof Error ? `: ${error.message}` : "";
    const message = `spec.keyRotation.schedule "${schedule}" is not five fields of cron, such as "0 3 1 * *"${why}`;
    return { problem: { reason: "ScheduleInvalid", message } };
  }
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    // A RangeError is the answer "no".
    return false;
  }
}
