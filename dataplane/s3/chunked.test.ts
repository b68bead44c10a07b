import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ChunkedForm, ChunkReader } from "./chunked.ts";
import { ACCESS_KEY_ID, codeOf, SECRET } from "./contract/requests.ts";
import { type ChunkedOptions, chunkedBody, join, type Signing } from "./contract/signer.ts";
import { ChunkSigner, deriveSigningKey } from "./signing.ts";

const STAMP = "20130524T000000Z";
const SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

function signingIn(region: string): Signing {
  const nothing = { method: "PUT", target: "/", headers: [], payload: "" };
  return { ...nothing, timestamp: STAMP, region, accessKeyId: ACCESS_KEY_ID, secret: SECRET };
}

function signerIn(region: string, seed = SEED): ChunkSigner {
  return new ChunkSigner(
    deriveSigningKey(SECRET, "20130524", region),
    STAMP,
    `20130524/${region}/s3/aws4_request`,
    seed,
  );
}

interface Form {
  readonly signed: boolean;
  readonly trailers: readonly string[] | undefined;
}

const TRAILER = "x-amz-checksum-crc32";
const FORMS: Record<string, Form> = {
  signed: { signed: true, trailers: undefined },
  "signed, with a trailer": { signed: true, trailers: [TRAILER] },
  "unsigned, with a trailer": { signed: false, trailers: [TRAILER] },
};

function crcOf(plain: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(plain));
  return bytes.toString("base64");
}

function encode({ signed, trailers }: Form, chunks: readonly Uint8Array[]): Buffer {
  const options: ChunkedOptions = {
    seed: signed ? { signature: SEED, signing: signingIn("local") } : undefined,
    trailers: trailers?.map((name) => `${name}:${crcOf(join(chunks))}`),
  };
  return chunkedBody(chunks, options);
}

function readerOf({ signed, trailers }: Form, plainBytes: number | undefined): ChunkReader {
  const form: ChunkedForm = { plainBytes, signer: signed ? signerIn("local") : undefined, trailers };
  return new ChunkReader(form);
}

/** The plaintext and the trailers of a body that comes cut at these places. */
function decode(reader: ChunkReader, body: Uint8Array, cuts: readonly number[] = []) {
  const plain: Uint8Array[] = [];
  let from = 0;
  for (const to of [...cuts, body.length]) {
    for (const piece of reader.push(body.subarray(from, to))) plain.push(Uint8Array.from(piece));
    from = to;
  }
  const trailers = reader.end();
  return { plain: join(plain), trailers };
}

test("the published example of signed chunks holds", () => {
  const body = (signatures: string[]) =>
    join([
      Buffer.from(`10000;chunk-signature=${signatures[0]}\r\n`),
      Buffer.alloc(65_536, "a"),
      Buffer.from(`\r\n400;chunk-signature=${signatures[1]}\r\n`),
      Buffer.alloc(1024, "a"),
      Buffer.from(`\r\n0;chunk-signature=${signatures[2]}\r\n\r\n`),
    ]);
  const signatures = [
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
  ];
  const reader = () => new ChunkReader({ plainBytes: 66_560, signer: signerIn("us-east-1"), trailers: undefined });
  expect(decode(reader(), body(signatures)).plain).toEqual(Buffer.alloc(66_560, "a"));
  for (const index of [0, 1, 2]) {
    const wrong = signatures.with(index, "0".repeat(64));
    expect(codeOf(() => decode(reader(), body(wrong)))).toBe("SignatureDoesNotMatch");
  }
});

test("the published example of signed trailers holds", () => {
  const body = join([
    Buffer.from("10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"),
    Buffer.alloc(65_536, "a"),
    Buffer.from("\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"),
    Buffer.alloc(1024, "a"),
    Buffer.from("\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"),
    Buffer.from("x-amz-checksum-crc32c:sOO8/Q==\r\n"),
    Buffer.from("x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"),
  ]);
  const seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
  const signer = () => signerIn("us-east-1", seed);
  const reader = () => new ChunkReader({ plainBytes: 66_560, signer: signer(), trailers: ["x-amz-checksum-crc32c"] });
  expect(decode(reader(), body).trailers).toEqual(new Map([["x-amz-checksum-crc32c", "sOO8/Q=="]]));
  const changed = Buffer.from(body);
  changed.write("T", body.indexOf("sOO8"));
  expect(codeOf(() => decode(reader(), changed))).toBe("SignatureDoesNotMatch");
});

describe.each(Object.entries(FORMS))("a body that is %s", (_name, form) => {
  const chunks = [Buffer.from("hello"), Buffer.from("\r\n0;x\r\n\r\n"), Buffer.alloc(300, 7)];
  const plain = join(chunks);
  const body = encode(form, chunks);

  test("is read byte by byte", () => {
    const cuts = Array.from({ length: body.length - 1 }, (_value, index) => index + 1);
    const read = decode(readerOf(form, plain.length), body, cuts);
    expect(read.plain).toEqual(plain);
    expect([...read.trailers.keys()]).toEqual(form.trailers ?? []);
  });

  test("is read whatever its chunks and wherever it is cut", () => {
    const bodies = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 6 });
    fc.assert(
      fc.property(bodies, fc.array(fc.nat(2000), { maxLength: 12 }), (parts, places) => {
        const bytes = encode(form, parts);
        const cuts = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
        const whole = join(parts);
        const read = decode(readerOf(form, whole.length), bytes, cuts);
        expect(Buffer.compare(read.plain, whole)).toBe(0);
        expect(read.trailers.get(TRAILER)).toBe(form.trailers === undefined ? undefined : crcOf(whole));
      }),
    );
  });

  test("is read when it is empty", () => {
    const read = decode(readerOf(form, 0), encode(form, []));
    expect(read.plain).toHaveLength(0);
  });

  test("is refused at every place where it may be cut off", () => {
    for (let length = 0; length < body.length; length += 1) {
      const code = codeOf(() => decode(readerOf(form, plain.length), body.subarray(0, length)));
      expect(["IncompleteBody", "MalformedTrailerError"], `${length} bytes`).toContain(code);
    }
  });

  test("is refused when anything follows it", () => {
    for (const more of ["x", "\r\nx", "x:y\r\n\r\n", "0\r\n\r\n"]) {
      const longer = join([body, Buffer.from(more)]);
      expect(
        codeOf(() => decode(readerOf(form, plain.length), longer)),
        more,
      ).not.toBe("none");
    }
  });

  test("is refused when it has more or fewer bytes than stated", () => {
    expect(codeOf(() => decode(readerOf(form, plain.length - 1), body))).toBe("IncompleteBody");
    expect(codeOf(() => decode(readerOf(form, plain.length + 1), body))).toBe("IncompleteBody");
    expect(codeOf(() => decode(readerOf(form, undefined), body))).toBe("none");
  });

  test("is refused when a bit of it flips, unless that only changes how a line is written", () => {
    const small = encode(form, [Buffer.from("ab")]);
    for (let bit = 0; bit < small.length * 8; bit += 1) {
      const flipped = Buffer.from(small);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      let read: ReturnType<typeof decode>;
      try {
        read = decode(readerOf(form, 2), flipped);
      } catch {
        continue;
      }
      // Unsigned data and values are held by the checksum alone, which is compared elsewhere.
      if (form.signed) expect(read.plain.toString(), `bit ${bit}`).toBe("ab");
      else expect([...read.trailers.keys()], `bit ${bit}`).toEqual([TRAILER]);
    }
  });
});

describe("aws-chunked is refused", () => {
  const unsigned = FORMS["unsigned, with a trailer"] as Form;
  const cases: Record<string, [body: string, code: string, plainBytes?: number]> = {
    "a size that is no hex": ["xyz\r\n", "InvalidRequest"],
    "an empty size": ["\r\n", "InvalidRequest"],
    "a negative size": ["-1\r\n", "InvalidRequest"],
    "a size beyond all numbers": ["ffffffffffffffffffff\r\n", "InvalidRequest"],
    "a size that is larger than the body": ["5000000000\r\n", "IncompleteBody"],
    "a header that ends without CR": ["2\nab\r\n0\r\n\r\n", "InvalidRequest"],
    "a header without end": ["1".repeat(5000), "InvalidRequest"],
    "a signature where none belongs": [`2;chunk-signature=${"0".repeat(64)}\r\nab\r\n0\r\n\r\n`, "InvalidRequest"],
    "data longer than its header says": ["2\r\nabc\r\n0\r\n\r\n", "InvalidRequest"],
    "no trailer where one was announced": ["2\r\nab\r\n0\r\n\r\n", "MalformedTrailerError"],
    "another trailer than announced": ["2\r\nab\r\n0\r\nx-amz-checksum-sha1:AA==\r\n\r\n", "MalformedTrailerError"],
    "a trailer without a value": ["2\r\nab\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", "MalformedTrailerError"],
    "a trailer twice": [`2\r\nab\r\n0\r\n${TRAILER}:AA==\r\n${TRAILER}:AA==\r\n\r\n`, "MalformedTrailerError"],
    "trailers without end": [`2\r\nab\r\n0\r\n${"\r\n".repeat(20_000)}`, "MalformedTrailerError"],
  };
  test.each(Object.entries(cases))("with %s", (_name, [body, code]) => {
    expect(codeOf(() => decode(readerOf(unsigned, 2), Buffer.from(body)))).toBe(code);
  });

  test("without signatures where chunks must have them", () => {
    const reader = readerOf(FORMS["signed"] as Form, 2);
    expect(codeOf(() => decode(reader, Buffer.from("2\r\nab\r\n0\r\n\r\n")))).toBe("InvalidRequest");
  });

  test("with signed chunks whose trailers are not", () => {
    const body = encode({ signed: true, trailers: undefined }, [Buffer.from("ab")]);
    const unsignedEnd = join([body.subarray(0, -2), Buffer.from(`${TRAILER}:AA==\r\n\r\n`)]);
    const reader = readerOf(FORMS["signed, with a trailer"] as Form, 2);
    expect(codeOf(() => decode(reader, unsignedEnd))).toBe("MalformedTrailerError");
  });
});

test("trailers as minio-go writes them are read: LF and an empty line before the end", () => {
  const body = Buffer.from(`2\r\nab\r\n0\r\n${TRAILER}:AAAAAA==\n\r\n\r\n`);
  const { trailers } = decode(readerOf(FORMS["unsigned, with a trailer"] as Form, 2), body);
  expect(trailers.get(TRAILER)).toBe("AAAAAA==");
});

test("pieces are views of the blocks that came", () => {
  const body = encode(FORMS["unsigned, with a trailer"] as Form, [Buffer.from("hello")]);
  const pieces = [...readerOf(FORMS["unsigned, with a trailer"] as Form, 5).push(body)];
  expect(pieces.map((piece) => piece.buffer === body.buffer)).toEqual([true]);
});
