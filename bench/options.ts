// What the command line asks for.

import { parseArgs } from "node:util";

export interface Peer {
  readonly label: string;
  readonly url: URL;
  readonly accessKeyId: string;
  readonly secret: string;
  readonly pid: number;
}

export const PARTS = ["objects", "aged", "lists", "streams"] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly peers: readonly Peer[];
  readonly sizes: readonly number[];
  readonly clients: readonly number[];
  readonly seconds: number;
  readonly parts: ReadonlySet<Part>;
  /** Objects in the aged index. */
  readonly names: number;
  /** How often one of them is replaced before it is measured. */
  readonly replacements: number;
  /** Objects under the prefix whose listing is measured. */
  readonly listed: number;
  readonly streams: number;
  /** Where the store's folder is made. */
  readonly folder: string | undefined;
  /** Options of Node for the store, such as --cpu-prof. */
  readonly node: readonly string[];
}

export const HELP = `npm run bench -- [OPTION…]

Starts a store in a folder of its own, loads it, and prints what each operation costs: PUT signed and unsigned, GET,
encrypted and with encryption off, in an aged index, pages of listings, many streams at once and small requests beside
them. Other programs on the machine change MiB/s and latencies, not much the processor time: compare that, and the
ratios within one run.

  --peer LABEL=URL,ACCESS,SECRET,PID   measures another S3 server beside it, row by row; more than once for more.
                                       It is asked to encrypt by "x-amz-server-side-encryption: AES256".
  --quick                 a run of about a minute: two sizes less, short rows, a smaller index
  --sizes 1KiB,64KiB,…    of the objects; default 1KiB,64KiB,1MiB,16MiB,128MiB
  --clients 4,16          at once; default 4,16
  --seconds N             a row; default 4
  --parts objects,aged,lists,streams   some of the four; default all
  --names N               objects in the aged index; default 20000
  --replacements N        of them before it is measured; default 60000
  --listed N              names, listed by pages of 1000 once they are written, again, and anew after a restart;
                          default 20000
  --streams N             bodies of a GiB at once, half of them in and half of them out; default 64
  --folder DIR            where the store's folder is made; default the system's folder for temporary files
  --node OPTION           of Node for the store, such as --node=--cpu-prof
  --help
`;

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const SIZES = ["1KiB", "64KiB", "1MiB", "16MiB", "128MiB"];
const QUICK_SIZES = ["1KiB", "64KiB", "16MiB"];

/** Throws an Error whose message says what is wrong; "help" if that was asked for. */
export function parseOptions(args: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peer: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      sizes: { type: "string" },
      clients: { type: "string" },
      seconds: { type: "string" },
      parts: { type: "string", default: PARTS.join(",") },
      names: { type: "string" },
      replacements: { type: "string" },
      listed: { type: "string" },
      streams: { type: "string", default: "64" },
      folder: { type: "string" },
      node: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { quick } = values;
  return {
    peers: values.peer.map(peerOf),
    sizes: (values.sizes?.split(",") ?? (quick ? QUICK_SIZES : SIZES)).map(bytesOf),
    clients: (values.clients ?? (quick ? "16" : "4,16")).split(",").map((text) => numberOf("--clients", text)),
    seconds: numberOf("--seconds", values.seconds ?? (quick ? "1.5" : "4")),
    parts: new Set(values.parts.split(",").map(partOf)),
    names: numberOf("--names", values.names ?? (quick ? "5000" : "20000")),
    replacements: numberOf("--replacements", values.replacements ?? (quick ? "5000" : "60000")),
    listed: numberOf("--listed", values.listed ?? (quick ? "5000" : "20000")),
    streams: numberOf("--streams", values.streams),
    folder: values.folder,
    node: values.node,
  };
}

function numberOf(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0)) throw new Error(`${option} takes a number above 0, not "${text}"`);
  return value;
}

export function bytesOf(text: string): number {
  const [, number, unit = "B"] = /^(\d+)(B|KiB|MiB|GiB)?$/.exec(text) ?? [];
  if (number === undefined || Number(number) === 0) throw new Error(`"${text}" is no size such as 64KiB`);
  return Number(number) * (UNITS[unit] ?? 1);
}

export function sizeText(bytes: number): string {
  const [unit, factor] = Object.entries(UNITS).findLast(([, size]) => bytes % size === 0) ?? ["B", 1];
  return `${bytes / factor}${unit}`;
}

function partOf(text: string): Part {
  const part = PARTS.find((one) => one === text);
  if (part === undefined) throw new Error(`--parts takes ${PARTS.join(", ")}, not "${text}"`);
  return part;
}

function peerOf(text: string): Peer {
  const [, label, rest = ""] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const [url = "", accessKeyId, secret, pid] = rest.split(",");
  if (label === undefined || accessKeyId === undefined || secret === undefined || !URL.canParse(url)) {
    throw new Error(`--peer takes LABEL=URL,ACCESS,SECRET,PID, not "${text}"`);
  }
  return { label, url: new URL(url), accessKeyId, secret, pid: numberOf("--peer … PID", pid ?? "") };
}
