// `npm run bench`: what a store costs, beside other servers in the same run. Wiring only; `npm run bench -- --help`.

import { loadavg } from "node:os";
import { HELP, type Options, parseOptions } from "./options.ts";
import { agedRows, listRows, objectRows, type Row, streamRows } from "./rows.ts";
import { peerServer, type Server, storeServer } from "./servers.ts";
import { startStore } from "./store.ts";
import { HEADING, ratioTexts, rowText } from "./table.ts";
import { IdleLoop } from "./usage.ts";

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    say(HELP);
    return;
  }
  const idle = new IdleLoop();
  const store = await startStore(options.folder, options.node);
  const servers = [storeServer(store, idle)];
  try {
    for (const peer of options.peers) servers.push(await peerServer(peer, idle));
    const failed = await run(servers, options, () => store.restart());
    if (failed) process.exitCode = 1;
  } finally {
    for (const { clients } of servers) {
      clients.on.close();
      clients.off.close();
    }
    await store.stop();
    await idle.end();
  }
}

/** Whether any request failed. */
async function run(servers: readonly Server[], options: Options, restart: () => Promise<void>): Promise<boolean> {
  const [own] = servers;
  if (own === undefined) throw new Error("there is nothing to measure");
  const rows: Row[] = [];
  const tell = (row: Row): void => {
    rows.push(row);
    say(rowText(row));
  };
  say(`load of the machine before: ${loadavg()[0]?.toFixed(1)}\n${HEADING}`);
  if (options.parts.has("objects")) await objectRows(servers, options, tell);
  if (options.parts.has("aged")) await agedRows(own, options, tell);
  if (options.parts.has("lists")) await listRows(own, options, tell, restart);
  if (options.parts.has("streams")) for (const server of servers) await streamRows(server, options, tell);
  say(`\nRatios\n${ratioTexts(rows, own.label).join("\n")}`);
  return rows.some(({ measured }) => measured.failed > 0);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
