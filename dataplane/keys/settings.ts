/** Seals the settings of a bucket under its bucket key: what somebody set is the bucket's secret too. */

import { ZERO_ID } from "../../envelope/datakey.ts";
import { bucketKeyIdOf, openEnvelope, sealEnvelope } from "../../envelope/envelope.ts";
import type { SettingsSealer } from "../buckets/buckets.ts";
import { failureOf } from "../failure.ts";
import type { BucketKeys } from "./port.ts";

export function createSettingsSealer(keys: BucketKeys): SettingsSealer {
  return {
    async seal(call, bucket, settings) {
      const bucketKey = await keys.current(call, bucket);
      return sealEnvelope({ kind: "settings" }, { settings }, bucketKey.id, ZERO_ID, bucketKey.key);
    },
    async open(call, bucket, sealed) {
      try {
        const bucketKey = await keys.byId(call, bucket, bucketKeyIdOf(sealed));
        return openEnvelope(sealed, { kind: "settings" }, bucketKey.key).settings;
      } catch (error) {
        throw failureOf(error, `open the settings of bucket "${bucket.name}"`);
      }
    },
  };
}
