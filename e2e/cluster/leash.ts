// Ends the programs of a test run with the process that started them, also where that was killed: a guard in a session of
// its own learns of it by the end of its input, which the kernel closes for the dead too.

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";

/** `+ 123` and `- 123` on its input: who is to die with us, and who has died already. */
const GUARD = `
pids=
while read -r sign pid; do
  if [ "$sign" = + ]; then
    pids="$pids $pid"
    continue
  fi
  left=
  for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done
  pids=$left
done
for pid in $pids; do kill -9 "$pid"; done
`;

let guard: Socket | undefined;

/** Kills the program when this process ends before it; `whole`: with all of the group that it leads. */
export function leash(child: ChildProcess, whole = false): void {
  // It could not be started, and says so itself.
  if (child.pid === undefined) return;
  const pid = whole ? -child.pid : child.pid;
  guard ??= startGuard();
  const input = guard;
  input.write(`+ ${pid}\n`);
  child.once("exit", () => input.write(`- ${pid}\n`));
}

/** Holds up nobody's end, and hears no signal that is meant for the group of whoever runs the tests. */
function startGuard(): Socket {
  const shell = spawn("sh", ["-c", GUARD], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  shell.unref();
  const input = shell.stdin as Socket;
  input.unref();
  return input;
}
