/** Whether a folder lies within another, wherever links lead: also of folders that are yet to be made. */
import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";

/** As many as a system follows. */
const LINKS_MAX = 40;

export function isWithin(inner: string, outer: string): boolean {
  const path = relative(realPath(outer), realPath(inner));
  return path === "" || (path !== ".." && !path.startsWith("../") && !isAbsolute(path));
}

/** The real path of the nearest ancestor that is there, and what is yet to be made below it. */
function realPath(path: string, links = 0): string {
  const whole = resolve(path);
  if (lstatSync(whole, { throwIfNoEntry: false }) === undefined) {
    const above = dirname(whole);
    return above === whole ? whole : join(realPath(above, links), relative(above, whole));
  }
  try {
    return realpathSync(whole);
  } catch (error) {
    if (links === LINKS_MAX || !isLink(whole)) throw error;
    // It leads to what is not there yet.
    return realPath(resolve(dirname(whole), readlinkSync(whole)), links + 1);
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}
