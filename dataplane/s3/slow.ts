/**
 * An answer in XML that may take long: once it does, 200 and spaces go out so that nobody on the way gives up. From
 * then on an error can only be the document itself.
 */
import type { ServerResponse } from "node:http";
import type { Call } from "../call.ts";
import { Failure, failureOf } from "../failure.ts";
import { sendXml } from "./answers.ts";
import { errorElement } from "./errors.ts";
import { XML_DECLARATION } from "./xml.ts";

/** `answered` runs before the headers of a quick answer go out, to set some; a slow one goes without them. */
export async function answerSlowly<Result>(
  call: Call,
  answer: ServerResponse,
  intervalMs: number,
  resource: string,
  work: () => Promise<Result>,
  answered: (result: Result) => void,
  root: (result: Result) => string,
): Promise<void> {
  let begun = false;
  const timer = setInterval(() => {
    if (answer.destroyed) return;
    if (!begun) {
      begun = true;
      answer.statusCode = 200;
      answer.setHeader("Content-Type", "application/xml");
      answer.write(Buffer.from(XML_DECLARATION));
    }
    answer.write(Buffer.from(" "));
  }, intervalMs);
  try {
    const result = await work();
    if (begun) {
      answer.end(Buffer.from(root(result), "utf8"));
      return;
    }
    answered(result);
    sendXml(answer, XML_DECLARATION + root(result));
  } catch (error) {
    if (!begun) throw error;
    const failure = error instanceof Failure ? error : failureOf(error, "finish the request");
    answer.end(Buffer.from(errorElement(failure, resource, call.id), "utf8"));
  } finally {
    clearInterval(timer);
  }
}
