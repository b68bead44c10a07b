/** The short document that a request brings as its body: text, held to all that the request promises of it. */
import type { Body } from "../call.ts";
import { Failure } from "../failure.ts";
import { verified } from "../objects/objects.ts";
import { malformed } from "./xml.ts";

export const XML_BYTES_MAX = 8 * 1024 ** 2;

/** Throws MalformedXML where it is too long or is not UTF-8, and what the body throws. */
export async function readText(body: AsyncIterable<Uint8Array>, bytesMax = XML_BYTES_MAX): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let bytes = 0;
  let text = "";
  const decode = (block: Uint8Array | undefined): void => {
    try {
      text += block === undefined ? decoder.decode() : decoder.decode(block, { stream: true });
    } catch (cause) {
      throw new Failure("MalformedXML", "The XML of the request is malformed: it is not UTF-8", { cause });
    }
  };
  for await (const block of body) {
    bytes += block.length;
    if (bytes > bytesMax) throw malformed(`it has more than ${bytesMax} bytes`);
    decode(block);
  }
  decode(undefined);
  return text;
}

/** The same, with Content-MD5 and the checksum verified. */
export function readDocument(body: Body, bytesMax = XML_BYTES_MAX): Promise<string> {
  return readText(verified(body), bytesMax);
}
