import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Body, Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { createListener, type Listener, type ListenerLimits, listenerLimits } from "./listener.ts";
import { emptyConfig, type RecordedPorts, rawClient, recordedPorts } from "./rawclient.ts";
import { sendBlocks, sendWhole } from "./stream.ts";
import type { Exchange, Protocol, Row, Sent } from "./table.ts";

const MIB = 1024 * 1024;
/** On a machine that is busy, and before anything ends by itself. */
const SOON_MS = 15_000;
const HOST = "Host: test\r\n";
const quick: ListenerLimits = { ...listenerLimits, lingerMs: 500 };
/** For tests that send no head in time: any other could be refused where this process stands still for a while. */
const shortHeads: Partial<ListenerLimits> = { headersMs: 300, headersCheckMs: 50 };

interface Target {
  readonly path: string;
}

type Handle = (call: Call, exchange: Exchange<Target>) => Promise<void>;

function asBody(sent: Sent): Body {
  return {
    plainBytes: undefined,
    announced: [],
    promised: () => new Map(),
    [Symbol.asyncIterator]: () => sent[Symbol.asyncIterator](),
  };
}

/** A protocol whose paths name what is done with the request. */
function protocolOf(
  handlers: Readonly<Record<string, Handle>>,
  idleMs = 60_000,
  bodyBytesMax = 64 * MIB,
): Protocol<Target> {
  const row = (path: string, handle: Handle): Row<Target> => ({
    operation: path.slice(1),
    matches: (_head, target) => target.path === path,
    authenticate(head, _target, _snapshot, _nowMs, sent) {
      if (head.headers.authorization === "bad") throw new Failure("AccessDenied", "no");
      return { principal: { kind: "anonymous" }, body: asBody(sent) };
    },
    bodyBytesMax,
    idleMs,
    handle,
  });
  const missing: Handle = () => Promise.reject(new Failure("NotFound", "there is nothing"));
  return {
    name: "s3",
    parse: (head) => ({ path: (head.url ?? "").split("?")[0] ?? "" }),
    rows: [
      ...Object.entries(handlers).map(([path, handle]) => row(path, handle)),
      { ...row("/missing", missing), matches: () => true },
    ],
    fail(_head, answer, failure, requestId) {
      sendWhole(answer, failure.status, "text/plain", `${failure.code} ${requestId} ${failure.message}`);
    },
    refuse: (failure, requestId) =>
      `HTTP/1.1 ${failure.status} Refused\r\nConnection: close\r\nx-amz-request-id: ${requestId}\r\n\r\n${failure.code}`,
  };
}

async function readAll(body: Body): Promise<number> {
  let bytes = 0;
  for await (const block of body) bytes += block.length;
  return bytes;
}

const hello: Handle = async (_call, { answer }) => sendWhole(answer, 200, "text/plain", "hello");
const count: Handle = async (_call, { answer, body }) =>
  sendWhole(answer, 200, "text/plain", `counted ${await readAll(body)}`);

/** Counts as `count` does, and says when it has begun. */
function begunCount(): { readonly handle: Handle; readonly begun: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const handle: Handle = async (call, exchange) => {
    resolve();
    await count(call, exchange);
  };
  return { handle, begun: promise };
}

const opened: Listener[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((listener) => listener.drain(0)));
});

async function open(
  protocol: Protocol<Target>,
  limits: Partial<ListenerLimits> = {},
  config: Record<string, unknown> = {},
): Promise<{ port: number; ports: RecordedPorts<Target>; listener: Listener }> {
  const ports = await recordedPorts(protocol, config);
  const listener = createListener(ports, { ...quick, ...limits });
  opened.push(listener);
  const { port } = await listener.listen(0, "127.0.0.1");
  return { port, ports, listener };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error("it did not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("a request", () => {
  test("is answered with an id and a date, and without a word about the framework", async () => {
    const { port, ports } = await open(protocolOf({ "/hello": hello }));
    const client = rawClient(port);
    client.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.until("hello");
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(text).toMatch(/x-amz-request-id: [0-9a-f-]{36}\r\n/);
    expect(text).toMatch(/Date: /);
    expect(text).not.toMatch(/express|etag/i);
    await until(() => ports.lines.length === 1);
    expect(ports.lines[0]).toMatchObject({ operation: "hello", status: 200, method: "GET", brokenOff: false });
    expect(ports.inFlight.count).toBe(0);
    client.socket.destroy();
  });

  test("line holds no target, so no signature", async () => {
    const { port, ports } = await open(protocolOf({ "/hello": hello }));
    const client = rawClient(port);
    client.send(`GET /hello?X-Amz-Signature=secret-thing HTTP/1.1\r\n${HOST}\r\n`);
    await client.until("hello");
    await until(() => ports.lines.length === 1);
    expect(JSON.stringify(ports.lines)).not.toContain("secret-thing");
    client.socket.destroy();
  });

  test.each([
    ["*", "OPTIONS"],
    ["http://[bad", "GET"],
    ["/%", "GET"],
    ["/%zz%00", "GET"],
    ["//b/../k", "GET"],
    ["/a#b", "GET"],
    ["/hello", "OPTIONS"],
  ])("for the target %s by %s reaches the table", async (target, method) => {
    const { port } = await open(protocolOf({}));
    const client = rawClient(port);
    client.send(`${method} ${target} HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.until("there is nothing");
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(text).toMatch(/NotFound [0-9a-f-]{36}/);
    client.socket.destroy();
  });

  test("that fails inside says nothing of the cause, which the log has", async () => {
    const broken: Handle = () => Promise.reject(new Error("the inner secret"));
    const { port, ports } = await open(protocolOf({ "/broken": broken }));
    const client = rawClient(port);
    client.send(`GET /broken HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.until("internal error");
    expect(text).toMatch(/^HTTP\/1\.1 500 /);
    expect(text).not.toContain("inner secret");
    expect(ports.events).toHaveLength(1);
    expect(ports.events[0]?.fields["cause"]).toMatchObject({ cause: { message: "the inner secret" } });
    client.socket.destroy();
  });

  test("whose handler forgets to answer gets a 500", async () => {
    const { port } = await open(protocolOf({ "/silent": () => Promise.resolve() }));
    const client = rawClient(port);
    client.send(`GET /silent HTTP/1.1\r\n${HOST}\r\n`);
    expect(await client.until("InternalError")).toMatch(/^HTTP\/1\.1 500 /);
    client.socket.destroy();
  });

  test("that something else than its client gave up gets an answer", async () => {
    const givenUp: Handle = () => Promise.reject(new DOMException("given up", "AbortError"));
    const { port, ports } = await open(protocolOf({ "/given-up": givenUp }));
    const client = rawClient(port);
    client.send(`GET /given-up HTTP/1.1\r\n${HOST}\r\n`);
    expect(await client.until("internal error")).toMatch(/^HTTP\/1\.1 500 /);
    expect(ports.events).toHaveLength(1);
    client.socket.destroy();
  });

  test("whose handler writes on after its client has gone harms nobody", async () => {
    const wrote = Promise.withResolvers<void>();
    const stubborn: Handle = async (call, { answer }) => {
      await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
      answer.write("more");
      answer.end("and more");
      wrote.resolve();
    };
    const { port, ports } = await open(protocolOf({ "/stubborn": stubborn, "/hello": hello }));
    const client = rawClient(port);
    client.send(`PUT /stubborn HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\na`);
    await until(() => ports.inFlight.count === 1);
    client.socket.resetAndDestroy();
    await wrote.promise;
    const next = rawClient(port);
    next.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
    await next.until("hello");
    next.socket.destroy();
  });

  test("whose handler writes behind its end harms nobody, and is logged", async () => {
    const twice: Handle = async (_call, { answer }) => {
      answer.end("once");
      answer.write("twice");
    };
    const { port, ports } = await open(protocolOf({ "/twice": twice, "/hello": hello }));
    const client = rawClient(port);
    client.send(`GET /twice HTTP/1.1\r\n${HOST}\r\nGET /hello HTTP/1.1\r\n${HOST}\r\n`);
    expect(await client.until("hello")).not.toContain("twice");
    expect(ports.events).toEqual([expect.objectContaining({ message: "an answer was written to behind its end" })]);
    client.socket.destroy();
  });

  test("does not send the headers that a handler had set before it failed", async () => {
    const halfway: Handle = async (_call, { answer }) => {
      answer.setHeader("Content-Length", 5);
      answer.setHeader("ETag", '"x"');
      throw new Failure("NoSuchKey", "gone");
    };
    const { port } = await open(protocolOf({ "/halfway": halfway }));
    const client = rawClient(port);
    client.send(`GET /halfway HTTP/1.1\r\n${HOST}\r\n`);
    expect(await client.until("gone")).not.toMatch(/etag/i);
    client.socket.destroy();
  });

  test("without a Host header gets an answer of the protocol", async () => {
    const { port } = await open(protocolOf({ "/hello": hello }));
    const client = rawClient(port);
    client.send("GET /hello HTTP/1.1\r\n\r\n");
    expect(await client.until("no Host header")).toMatch(/^HTTP\/1\.1 400 /);
    client.socket.destroy();
  });

  test("sees one configuration, and leaves it", async () => {
    const revisions: number[] = [];
    const handle: Handle = async (call, { answer, body }) => {
      revisions.push(call.snapshot.config.revision);
      await readAll(body);
      revisions.push(call.snapshot.config.revision);
      sendWhole(answer, 200, "text/plain", "done");
    };
    const { port, ports } = await open(protocolOf({ "/look": handle }));
    const client = rawClient(port);
    client.send(`PUT /look HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\na`);
    await until(() => revisions.length === 1);
    await ports.live.offer(emptyConfig({ revision: 2 }), AbortSignal.timeout(60_000));
    client.send("b");
    await client.until("done");
    expect(revisions).toEqual([1, 1]);
    client.socket.destroy();
  });

  test("is refused 503 with Retry-After while too many are served, before its body is read", async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const wait: Handle = async (_call, { answer }) => {
      begun.resolve();
      await gate.promise;
      sendWhole(answer, 200, "text/plain", "waited");
    };
    const protocol = protocolOf({ "/wait": wait, "/count": count });
    const settings = { ...(emptyConfig()["settings"] as object), maxConcurrentRequests: 1 };
    const { port } = await open({ ...protocol, fail: failWithRetry }, {}, { settings });
    const first = rawClient(port);
    first.send(`GET /wait HTTP/1.1\r\n${HOST}\r\n`);
    await begun.promise;
    const second = rawClient(port);
    second.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n`);
    const text = await second.closed();
    expect(text).toMatch(/^HTTP\/1\.1 503 /);
    expect(text).toMatch(/Retry-After: 1\r\n/);
    expect(text).not.toContain("100 Continue");
    gate.resolve();
    await first.until("waited");
    first.socket.destroy();
  });
});

/** Takes all memory that is left for bodies; gives it back when it is called. */
function exhaust({ inFlight }: RecordedPorts<Target>): () => void {
  let taken = 0;
  for (let bytes = 2 ** 30; bytes >= 1; bytes /= 2) {
    while (inFlight.reserve(bytes)) taken += bytes;
  }
  return () => inFlight.giveBack(taken);
}

describe("while bodies take all the memory that they may", () => {
  test.each([
    ["with a length", "Content-Length: 1000000"],
    ["of unknown length", "Transfer-Encoding: chunked"],
  ])("another %s is refused 503 with Retry-After, before any of it is read", async (_how, length) => {
    const { port, ports } = await open({ ...protocolOf({ "/count": count }), fail: failWithRetry });
    const giveBack = exhaust(ports);
    const refused = rawClient(port);
    refused.send(`PUT /count HTTP/1.1\r\n${HOST}${length}\r\nExpect: 100-continue\r\n\r\n`);
    const text = await refused.closed();
    expect(text).toMatch(/^HTTP\/1\.1 503 /);
    expect(text).toMatch(/Retry-After: 1\r\n/);
    expect(text).toContain("SlowDown");
    expect(text).not.toContain("100 Continue");
    giveBack();
  });

  test("an answer that asks for some is refused too, and one without a body is not", async () => {
    const much: Handle = async (call, { answer }) => {
      call.reserve?.(2 ** 30);
      sendWhole(answer, 200, "text/plain", "much");
    };
    const { port, ports } = await open({ ...protocolOf({ "/much": much, "/hello": hello }), fail: failWithRetry });
    const giveBack = exhaust(ports);
    const client = rawClient(port);
    client.send(`GET /much HTTP/1.1\r\n${HOST}\r\n`);
    await client.until("SlowDown");
    client.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
    await client.until("hello");
    giveBack();
    client.send(`GET /much HTTP/1.1\r\n${HOST}\r\n`);
    await client.until("much");
    client.socket.destroy();
  });

  test("what a request had is there again once it is through, whatever came of it", async () => {
    const fails: Handle = async (call, { body }) => {
      call.reserve?.(2 ** 20);
      await readAll(body);
      throw new Failure("InternalError", "no");
    };
    const { port, ports } = await open(protocolOf({ "/count": count, "/fails": fails }));
    const all = exhaust(ports);
    all();
    for (const path of ["/count", "/fails"]) {
      const client = rawClient(port);
      client.send(`PUT ${path} HTTP/1.1\r\n${HOST}Content-Length: 3\r\nConnection: close\r\n\r\nabc`);
      await client.closed();
    }
    const cut = rawClient(port);
    cut.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\na`);
    await until(() => ports.inFlight.count === 1);
    cut.socket.destroy();
    await until(() => ports.lines.length === 3);
    const before = ports.inFlight.reserve(96 * MIB);
    expect(before).toBe(true);
    ports.inFlight.giveBack(96 * MIB);
  });
});

const failWithRetry: Protocol<Target>["fail"] = (_head, answer, failure) => {
  answer.setHeader("Retry-After", failure.retryAfterSeconds ?? 0);
  sendWhole(answer, failure.status, "text/plain", failure.code);
};

describe("a head", () => {
  test("that never ends is refused after its time", async () => {
    const { port } = await open(protocolOf({ "/hello": hello }), shortHeads);
    const client = rawClient(port);
    client.send(`GET /hello HTTP/1.1\r\n${HOST}X: `);
    const drip = setInterval(() => client.send("a"), 40);
    const begun = performance.now();
    const text = await client.closed();
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1\.1 400 Refused[\s\S]*RequestTimeout/);
    expect(performance.now() - begun).toBeLessThan(SOON_MS);
  });

  test("that never begins is refused after its time, and has its line", async () => {
    const { port, ports } = await open(protocolOf({}), shortHeads);
    expect(await rawClient(port).closed()).toMatch(/RequestTimeout/);
    expect(ports.lines).toEqual([expect.objectContaining({ operation: "Unparsed", code: "RequestTimeout" })]);
  });

  test.each([
    ["10,000 headers", "a:b\r\n".repeat(10_000)],
    ["one header of 17 KiB", `x: ${"y".repeat(17 * 1024)}\r\n`],
  ])("with %s is answered by the protocol", async (_what, headers) => {
    const { port } = await open(protocolOf({ "/hello": hello }));
    const client = rawClient(port);
    client.send(`GET /hello HTTP/1.1\r\n${HOST}${headers}\r\n`);
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 400 Refused/);
    expect(text).toMatch(/x-amz-request-id: /);
    expect(text).toMatch(/RequestHeaderSectionTooLarge$/);
  });

  test("with 3,000 small headers loses none of them", async () => {
    let seen = 0;
    const handle: Handle = async (_call, { head, answer }) => {
      seen = head.rawHeaders.length / 2;
      sendWhole(answer, 200, "text/plain", "fine");
    };
    const { port } = await open(protocolOf({ "/many": handle }));
    const client = rawClient(port);
    client.send(`GET /many HTTP/1.1\r\n${HOST}${"a:b\r\n".repeat(3000)}\r\n`);
    await client.until("fine");
    expect(seen).toBe(3001);
    client.socket.destroy();
  });

  test.each([
    ["GET / HTTP/9.9\r\n\r\n"],
    ["nonsense\r\n\r\n"],
    ["GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
    ["PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"],
    ["PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ])("that is not HTTP is refused by the protocol: %j", async (bytes) => {
    const { port } = await open(protocolOf({}));
    const client = rawClient(port);
    client.send(bytes);
    expect(await client.closed()).toMatch(/^HTTP\/1\.1 400 Refused[\s\S]*BadRequest$/);
  });
});

describe("a connection", () => {
  test("answers pipelined requests in their order", async () => {
    const slow: Handle = async (_call, { answer }) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      sendWhole(answer, 200, "text/plain", "slow-one");
    };
    const { port, ports } = await open(protocolOf({ "/slow": slow, "/hello": hello, "/count": count }));
    const client = rawClient(port);
    client.send(
      `GET /slow HTTP/1.1\r\n${HOST}\r\nPUT /count HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabcGET /hello HTTP/1.1\r\n${HOST}\r\n`,
    );
    const text = await client.until("hello");
    expect(text.indexOf("slow-one")).toBeLessThan(text.indexOf("counted 3"));
    expect(text.indexOf("counted 3")).toBeLessThan(text.lastIndexOf("hello"));
    await until(() => ports.lines.length === 3);
    client.socket.destroy();
  });

  test("serves pipelined requests one behind the other", async () => {
    const events: string[] = [];
    const telling = (name: string, afterMs: number): Handle => {
      return async (_call, { answer, body }) => {
        events.push(`${name} begins`);
        await readAll(body);
        await sleep(afterMs);
        events.push(`${name} ends`);
        sendWhole(answer, 200, "text/plain", name);
      };
    };
    const { port } = await open(protocolOf({ "/slow": telling("slow", 60), "/quick": telling("quick", 0) }));
    const client = rawClient(port);
    const slow = `PUT /slow HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`;
    const quickOne = `DELETE /quick HTTP/1.1\r\n${HOST}\r\n`;
    client.send(slow + quickOne + slow + quickOne.replace("/quick", "/missing"));
    await client.until("NotFound");
    const each = ["slow begins", "slow ends"];
    expect(events).toEqual([...each, "quick begins", "quick ends", ...each]);
    client.socket.destroy();
  });

  test("that is cut off leaves no pipelined request behind", async () => {
    let served = 0;
    const slow: Handle = async (_call, { answer }) => {
      served += 1;
      await sleep(60);
      sendWhole(answer, 200, "text/plain", "slow-one");
    };
    const { port, ports } = await open(protocolOf({ "/slow": slow }));
    const client = rawClient(port);
    client.send(`GET /slow HTTP/1.1\r\n${HOST}\r\n`.repeat(3));
    await until(() => served === 1);
    client.socket.resetAndDestroy();
    await until(() => ports.lines.length === 3);
    expect(served).toBe(1);
    expect(ports.lines.slice(1).map(({ code }) => code)).toEqual(["ClientClosedRequest", "ClientClosedRequest"]);
    await until(() => ports.inFlight.count === 0);
  });

  test("that ends with an answer does not serve what was pipelined behind it, and cuts nothing of the answer", async () => {
    let served = 0;
    const large: Handle = async (_call, { answer }) => {
      served += 1;
      sendWhole(answer, 200, "text/plain", "x".repeat(4 * MIB));
    };
    const { port, ports } = await open(protocolOf({ "/large": large }));
    const client = rawClient(port);
    client.send(`GET /large HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET /large HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.closed();
    expect(text.length).toBeGreaterThan(4 * MIB);
    expect(served).toBe(1);
    await until(() => ports.inFlight.count === 0);
  });

  test("with nonsense behind a request still answers the request", async () => {
    const slow: Handle = async (_call, { answer }) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      sendWhole(answer, 200, "text/plain", "slow-one");
    };
    const { port } = await open(protocolOf({ "/slow": slow }));
    const client = rawClient(port);
    client.send(`GET /slow HTTP/1.1\r\n${HOST}\r\nnonsense\r\n\r\n`);
    expect(await client.closed()).toMatch(/slow-one[\s\S]*400 Refused[\s\S]*BadRequest$/);
  });

  test("whose client has closed its half still gets the answer", async () => {
    const { port } = await open(protocolOf({ "/count": count }));
    const client = rawClient(port, true);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`);
    client.socket.end();
    expect(await client.closed()).toMatch(/counted 3$/);
  });

  test("whose client closes its half inside a body gets an error and nothing is counted", async () => {
    const { port, ports } = await open(protocolOf({ "/count": count }));
    const client = rawClient(port, true);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\nabc`);
    client.socket.end();
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 400 [\s\S]*IncompleteBody/);
    await until(() => ports.lines.length === 1);
    expect(ports.lines[0]).toMatchObject({ code: "IncompleteBody" });
  });

  test("whose chunked body is malformed gets an error", async () => {
    const { port } = await open(protocolOf({ "/count": count }));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n`);
    expect(await client.closed()).toMatch(/^HTTP\/1\.1 400 [\s\S]*IncompleteBody/);
  });

  test("is kept for the next request, and closed when none comes", async () => {
    const { port } = await open(protocolOf({ "/count": count }), { keepAliveMs: 1000 });
    const client = rawClient(port);
    for (const bytes of ["abc", "abcd"]) {
      client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: ${bytes.length}\r\n\r\n${bytes}`);
      await client.until(`counted ${bytes.length}`);
    }
    const text = await client.closed();
    expect(text).not.toMatch(/Connection: close/);
    expect(text.match(/200 OK/g)).toHaveLength(2);
  });

  test("is kept when a small body came whole and was refused", async () => {
    const { port } = await open(protocolOf({ "/hello": hello }));
    const client = rawClient(port);
    client.send(`PUT /hello HTTP/1.1\r\n${HOST}Authorization: bad\r\nContent-Length: 3\r\n\r\nabc`);
    await client.until("AccessDenied");
    client.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
    expect(await client.until("hello")).not.toMatch(/Connection: close/);
    client.socket.destroy();
  });
});

describe("a body", () => {
  test("is asked for by 100 Continue only when the handler reads", async () => {
    const gate = Promise.withResolvers<void>();
    const late: Handle = async (_call, exchange) => {
      await gate.promise;
      await count(_call, exchange);
    };
    const { port } = await open(protocolOf({ "/late": late }));
    const client = rawClient(port);
    client.send(`PUT /late HTTP/1.1\r\n${HOST}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(client.received).toBe("");
    gate.resolve();
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    expect(await client.until("counted 3")).not.toMatch(/Connection: close/);
    client.socket.destroy();
  });

  test("is never asked for when the request is refused", async () => {
    const { port } = await open(protocolOf({ "/count": count }));
    const client = rawClient(port);
    client.send(
      `PUT /count HTTP/1.1\r\n${HOST}Authorization: bad\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`,
    );
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 403 /);
    expect(text).toMatch(/Connection: close/);
    expect(text).not.toContain("100 Continue");
  });

  test.each([
    ["announced", `Content-Length: 101\r\nExpect: 100-continue\r\n\r\n`],
    ["chunked", `Transfer-Encoding: chunked\r\n\r\n65\r\n${"x".repeat(0x65)}\r\n0\r\n\r\n`],
  ])("that is larger than its row allows is refused: %s", async (_how, rest) => {
    const { port } = await open(protocolOf({ "/count": count }, 60_000, 100));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}${rest}`);
    const text = await client.until("EntityTooLarge");
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    client.socket.destroy();
  });

  test("of 100 bytes passes a limit of 100", async () => {
    const { port } = await open(protocolOf({ "/count": count }, 60_000, 100));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\n${"x".repeat(100)}`);
    await client.until("counted 100");
    client.socket.destroy();
  });

  test("that stops coming is answered and the connection ends", async () => {
    const { port, ports } = await open(protocolOf({ "/count": count }, 200));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nabc`);
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 400 [\s\S]*RequestTimeout/);
    await until(() => ports.lines.length === 1);
    expect(ports.lines[0]).toMatchObject({ code: "RequestTimeout", bytesIn: 3 });
  });

  test.each(["gzip, chunked", "identity, chunked"])("in another transfer coding is refused: %s", async (coding) => {
    const { port } = await open(protocolOf({ "/count": count }));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Transfer-Encoding: ${coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`);
    await client.until("NotImplemented");
    expect(client.received).toMatch(/^HTTP\/1\.1 501 /);
    client.socket.destroy();
  });

  test("that comes slowly but comes is taken", async () => {
    const { port } = await open(protocolOf({ "/count": count }, 4000));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 6\r\n\r\n`);
    for (let sent = 0; sent < 6; sent += 1) {
      await new Promise((resolve) => setTimeout(resolve, 800));
      client.send("x");
    }
    await client.until("counted 6");
    client.socket.destroy();
  });

  test("that drips is ended after its time, though it is never idle", async () => {
    const { port, ports } = await open(protocolOf({ "/count": count }), { paceMs: 150, paceBytes: 100 });
    const client = rawClient(port);
    const begun = performance.now();
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 100000\r\n\r\n`);
    const drip = setInterval(() => client.send("x"), 20);
    const text = await client.closed();
    clearInterval(drip);
    // Two whole periods, wherever in one it began.
    expect(performance.now() - begun).toBeGreaterThan(295);
    expect(text).toMatch(/^HTTP\/1\.1 400 [\s\S]*RequestTimeout/);
    await until(() => ports.lines.length === 1);
    expect(ports.lines[0]).toMatchObject({ code: "RequestTimeout" });
  });

  test("that keeps its pace, or that we read slowly ourselves, is taken however long that takes", async () => {
    const slow: Handle = async (_call, { body, answer }) => {
      let bytes = 0;
      for await (const block of body) {
        bytes += block.length;
        await new Promise((resolve) => setTimeout(resolve, 2500));
      }
      sendWhole(answer, 200, "text/plain", `read ${bytes}`);
    };
    const { port } = await open(protocolOf({ "/count": count, "/slow": slow }), { paceMs: 700, paceBytes: 100 });
    const read = rawClient(port);
    read.send(`PUT /slow HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`);
    const paced = rawClient(port);
    paced.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 20000\r\n\r\n`);
    for (let sent = 0; sent < 10; sent += 1) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      paced.send("x".repeat(2000));
    }
    await Promise.all([paced.until("counted 20000"), read.until("read 3")]);
    read.socket.destroy();
    paced.socket.destroy();
  });

  test("is not held against a client that waits for us", async () => {
    const slow: Handle = async (_call, { answer }) => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      sendWhole(answer, 200, "text/plain", "at last");
    };
    const { port } = await open(protocolOf({ "/slow": slow }, 100));
    const client = rawClient(port);
    client.send(`GET /slow HTTP/1.1\r\n${HOST}\r\n`);
    await client.until("at last");
    client.socket.destroy();
  });

  test("whose client goes aborts the call and fails the reader", async () => {
    let signal: AbortSignal | undefined;
    const seen: unknown[] = [];
    const handle: Handle = async (call, { body }) => {
      signal = call.signal;
      await readAll(body).catch((error: unknown) => {
        seen.push(error);
        throw error;
      });
    };
    const { port, ports } = await open(protocolOf({ "/take": handle }));
    const client = rawClient(port);
    client.send(`PUT /take HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nabc`);
    await until(() => signal !== undefined);
    client.socket.resetAndDestroy();
    await until(() => ports.lines.length === 1);
    expect(signal?.aborted).toBe(true);
    expect(seen).toEqual([expect.objectContaining({ code: "ClientClosedRequest" })]);
    expect(ports.lines[0]).toMatchObject({ brokenOff: true });
    expect(ports.events).toEqual([]);
    expect(ports.inFlight.count).toBe(0);
  });

  test("pushes back while nobody reads it", async () => {
    const gate = Promise.withResolvers<void>();
    const handle: Handle = async (_call, { body, answer }) => {
      const blocks = body[Symbol.asyncIterator]();
      let bytes = (await blocks.next()).value.length;
      await gate.promise;
      for (let next = await blocks.next(); next.done !== true; next = await blocks.next()) bytes += next.value.length;
      sendWhole(answer, 200, "text/plain", `took ${bytes}`);
    };
    const { port } = await open(protocolOf({ "/take": handle }));
    const client = rawClient(port);
    client.send(`PUT /take HTTP/1.1\r\n${HOST}Content-Length: ${32 * MIB}\r\n\r\n`);
    client.send(Buffer.alloc(32 * MIB));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(client.socket.writableLength).toBeGreaterThan(0);
    gate.resolve();
    await client.until(`took ${32 * MIB}`);
    client.socket.destroy();
  });
});

describe("an answer before the body has been read", () => {
  test("arrives whole with Connection: close while the client still sends", async () => {
    const { port } = await open(protocolOf({ "/hello": hello }));
    const client = rawClient(port);
    client.send(`PUT /hello HTTP/1.1\r\n${HOST}Content-Length: ${64 * MIB}\r\n\r\n`);
    const block = Buffer.alloc(64 * 1024);
    const feed = setInterval(() => client.send(block), 1);
    const text = await client.until("hello");
    clearInterval(feed);
    expect(text).toMatch(/Connection: close/);
    await client.closed();
  });

  test("lets the client send at most 1 MiB more", async () => {
    const { port } = await open(protocolOf({ "/hello": hello }), { lingerMs: 60_000 });
    const client = rawClient(port, true);
    client.send(`PUT /hello HTTP/1.1\r\n${HOST}Content-Length: ${64 * MIB}\r\n\r\n`);
    const text = client.until("hello");
    client.send(Buffer.alloc(MIB - 1000));
    await text;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(client.socket.destroyed).toBe(false);
    const begun = performance.now();
    client.send(Buffer.alloc(2 * MIB));
    const drip = setInterval(() => client.send("x"), 20);
    await client.closed();
    clearInterval(drip);
    expect(performance.now() - begun).toBeLessThan(SOON_MS);
  });

  test("ends the connection of a client that sends no more after its time", async () => {
    const { port } = await open(protocolOf({ "/hello": hello }), { lingerMs: 200 });
    const client = rawClient(port, true);
    const begun = performance.now();
    client.send(`PUT /hello HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\nabc`);
    await client.until("hello");
    const drip = setInterval(() => client.send("x"), 20);
    await client.closed();
    clearInterval(drip);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(190);
    expect(performance.now() - begun).toBeLessThan(SOON_MS);
  });

  test("by a handler that left the body half read keeps the answer", async () => {
    const first: Handle = async (_call, { body, answer }) => {
      for await (const block of body) {
        sendWhole(answer, 200, "text/plain", `first ${block.length > 0}`);
        return;
      }
    };
    const { port } = await open(protocolOf({ "/first": first }));
    const client = rawClient(port);
    client.send(`PUT /first HTTP/1.1\r\n${HOST}Content-Length: ${8 * MIB}\r\n\r\n`);
    client.send(Buffer.alloc(256 * 1024));
    expect(await client.until("first true")).toMatch(/Connection: close/);
    await client.closed();
  });
});

describe("sendBlocks()", () => {
  async function* blocksOf(total: number, failAfter = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array[]> {
    for (let sent = 0; sent < total; sent += MIB) {
      if (sent >= failAfter) throw new Failure("InternalError", "does not authenticate", { tamper: true });
      yield [Buffer.alloc(MIB / 2, 1), Buffer.alloc(MIB / 2, 2)];
    }
  }
  const send =
    (total: number, failAfter?: number, calls: Call[] = []): Handle =>
    async (call, { answer }) => {
      calls.push(call);
      answer.setHeader("Content-Length", total);
      await sendBlocks(call, answer, blocksOf(total, failAfter));
    };

  test("sends all and counts what the client took", async () => {
    const calls: Call[] = [];
    const { port } = await open(protocolOf({ "/get": send(16 * MIB, undefined, calls) }));
    const client = rawClient(port);
    client.send(`GET /get HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    const text = await client.closed();
    expect(text.length - text.indexOf("\r\n\r\n") - 4).toBe(16 * MIB);
    expect(calls[0]?.doneBytes).toBe(16 * MIB);
  });

  test("sends nothing for HEAD, and keeps the connection", async () => {
    const { port } = await open(protocolOf({ "/get": send(4 * MIB), "/hello": hello }));
    const client = rawClient(port);
    client.send(`HEAD /get HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.until("\r\n\r\n");
    expect(text).toMatch(/Content-Length: 4194304/);
    client.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
    expect((await client.until("hello")).length).toBeLessThan(2000);
    client.socket.destroy();
  });

  test("destroys the connection when the source fails after the headers, never a clean end", async () => {
    const { port, ports } = await open(protocolOf({ "/get": send(4 * MIB, MIB) }));
    const client = rawClient(port);
    client.send(`GET /get HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(text.length).toBeLessThan(2 * MIB);
    await until(() => ports.lines.length === 1);
    expect(ports.lines[0]).toMatchObject({ brokenOff: true, code: "InternalError" });
    expect(ports.events[0]?.message).toBe("an answer was broken off");
  });

  test("prints the failure when the source fails before the headers", async () => {
    const { port } = await open(protocolOf({ "/get": send(4 * MIB, 0) }));
    const client = rawClient(port);
    client.send(`GET /get HTTP/1.1\r\n${HOST}\r\n`);
    expect(await client.until("does not authenticate")).toMatch(/^HTTP\/1\.1 500 /);
    client.socket.destroy();
  });

  test("destroys the connection of an answer that is shorter than its length", async () => {
    const short: Handle = async (call, { answer }) => {
      answer.setHeader("Content-Length", 3 * MIB);
      await sendBlocks(call, answer, blocksOf(2 * MIB));
    };
    const { port } = await open(protocolOf({ "/short": short }));
    const client = rawClient(port);
    client.send(`GET /short HTTP/1.1\r\n${HOST}\r\n`);
    const text = await client.closed();
    expect(text.length).toBeLessThan(3 * MIB);
  });

  test("waits for a client that does not read, and destroys its connection after the idle time", async () => {
    const calls: Call[] = [];
    const { port, ports } = await open(protocolOf({ "/get": send(256 * MIB, undefined, calls) }, 300));
    const client = rawClient(port);
    client.socket.pause();
    client.send(`GET /get HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => ports.lines.length === 1);
    expect(calls[0]?.doneBytes).toBeLessThan(64 * MIB);
    expect(ports.lines[0]).toMatchObject({ brokenOff: true });
    client.socket.destroy();
  });

  const IDLE_MS = 6000;
  /** Less than a look may come too late. */
  const STANDSTILL_MS = 400;
  /** On a machine that is so busy that there is no quiet one among them, the least time is all that is seen. */
  const ROUNDS_MAX = 5;

  test("that a client takes nothing more of is ended after the idle time, not after twice that", async () => {
    const { port, ports } = await open(protocolOf({ "/get": send(256 * MIB) }, IDLE_MS));
    for (let round = 1; round <= ROUNDS_MAX; round += 1) {
      const standstills = monitorEventLoopDelay();
      standstills.enable();
      const client = rawClient(port);
      client.socket.pause();
      const begun = performance.now();
      client.send(`GET /get HTTP/1.1\r\n${HOST}\r\n`);
      await until(() => ports.lines.length === round);
      const tookMs = performance.now() - begun;
      client.socket.destroy();
      standstills.disable();
      expect(tookMs).toBeGreaterThanOrEqual(IDLE_MS - 100);
      // Where this process stood still nobody can tell whether the client took something, and it gets its time anew.
      if (standstills.max / 1e6 > STANDSTILL_MS) continue;
      expect(tookMs).toBeLessThan(1.9 * IDLE_MS);
      return;
    }
  });

  test("that a client takes a little of now and then is not ended", async () => {
    const { port, ports } = await open(protocolOf({ "/get": send(64 * MIB) }, IDLE_MS));
    const client = rawClient(port);
    client.socket.pause();
    client.send(`GET /get HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    for (let takenBytes = 4 * MIB; takenBytes <= 32 * MIB; takenBytes += 4 * MIB) {
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS / 7));
      client.socket.resume();
      await until(() => client.received.length >= takenBytes);
      client.socket.pause();
    }
    client.socket.resume();
    expect((await client.closed()).length).toBeGreaterThan(64 * MIB);
    await until(() => ports.lines.length === 1);
    expect(ports.lines[0]).toMatchObject({ brokenOff: false });
  });

  test("ends when the client goes", async () => {
    const calls: Call[] = [];
    const { port, ports } = await open(protocolOf({ "/get": send(256 * MIB, undefined, calls) }));
    const client = rawClient(port);
    client.send(`GET /get HTTP/1.1\r\n${HOST}\r\n`);
    await client.until("200");
    client.socket.destroy();
    await until(() => ports.lines.length === 1);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(ports.events).toEqual([]);
  });
});

describe("drain()", () => {
  test("finishes what runs, takes nothing new and closes idle connections", async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const wait: Handle = async (_call, { answer }) => {
      begun.resolve();
      await gate.promise;
      sendWhole(answer, 200, "text/plain", "finished");
    };
    const { port, listener } = await open(protocolOf({ "/wait": wait, "/hello": hello }), { keepAliveMs: 60_000 });
    const idle = rawClient(port);
    idle.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
    await idle.until("hello");
    const busy = rawClient(port);
    busy.send(`GET /wait HTTP/1.1\r\n${HOST}\r\n`);
    await begun.promise;
    const drained = listener.drain(60_000);
    await idle.closed();
    const late = rawClient(port);
    expect(await late.closed()).toBe("");
    gate.resolve();
    expect(await busy.closed()).toMatch(/Connection: close[\s\S]*finished$/);
    await drained;
  });

  test("takes the rest of a body that is on its way, and then closes the connection", async () => {
    const { handle, begun } = begunCount();
    const { port, listener } = await open(protocolOf({ "/count": handle }), { keepAliveMs: 60_000 });
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 4\r\n\r\nab`);
    await begun;
    const drained = listener.drain(60_000);
    client.send("cd");
    expect(await client.closed()).toMatch(/Connection: close[\s\S]*counted 4$/);
    await drained;
  });

  test("breaks off what is not finished within the limit", async () => {
    const { handle, begun } = begunCount();
    const { port, listener, ports } = await open(protocolOf({ "/count": handle }));
    const client = rawClient(port);
    client.send(`PUT /count HTTP/1.1\r\n${HOST}Content-Length: 4\r\n\r\nab`);
    await begun;
    await listener.drain(100);
    await client.closed();
    expect(ports.lines[0]).toMatchObject({ code: "ServiceUnavailable" });
    expect(ports.inFlight.count).toBe(0);
  });
});

test("a listener says why it cannot listen", async () => {
  const { port } = await open(protocolOf({}));
  const second = createListener(await recordedPorts(protocolOf({})), quick);
  await expect(second.listen(port, "127.0.0.1")).rejects.toMatchObject({ code: "EADDRINUSE" });
});

test("a listener before the first configuration answers 503", async () => {
  const ports = await recordedPorts(protocolOf({ "/hello": hello }));
  const listener = createListener({ ...ports, live: { ...ports.live, peek: () => undefined } }, quick);
  opened.push(listener);
  const { port } = await listener.listen(0, "127.0.0.1");
  const client = rawClient(port);
  client.send(`GET /hello HTTP/1.1\r\n${HOST}\r\n`);
  expect(await client.until("No configuration")).toMatch(/^HTTP\/1\.1 503 /);
  client.socket.end();
  await once(client.socket, "close");
});
