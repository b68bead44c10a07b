// What the pod of `helm test` runs: one object through the store and back, as an application with its Secret would.
const { COFFER_REST_URL, COFFER_TOKEN, BUCKET_NAME, TIMEOUT_SECONDS } = process.env;
const until = Date.now() + Number(TIMEOUT_SECONDS) * 1000;
const address = `${COFFER_REST_URL}/api/v1/buckets/${BUCKET_NAME}/objects/helm-test.txt`;
const text = `Written by helm test at ${new Date().toISOString()}`;

async function ask(method, body) {
  const headers = { authorization: `Bearer ${COFFER_TOKEN}` };
  const answer = await fetch(address, { method, body, headers, signal: AbortSignal.timeout(10_000) });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${address}: ${answer.status} ${said}`);
  return said;
}

async function once() {
  await ask("PUT", text);
  const read = await ask("GET");
  if (read !== text) throw new Error(`GET ${address}: other bytes than were written`);
  await ask("DELETE");
}

for (;;) {
  try {
    await once();
    process.stdout.write(`PUT, GET and DELETE of ${address}: the bytes came back as they were.\n`);
    break;
  } catch (error) {
    const why = error instanceof Error ? `${error.message} ${error.cause ?? ""}` : String(error);
    process.stdout.write(`Not yet: ${why}\n`);
    if (Date.now() > until) process.exit(1);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
