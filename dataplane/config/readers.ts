/**
 * What may stand for one setting: from the value of a file, or from the text of an environment variable, to what the
 * program works with. A reader says what is wrong in words that fit behind the place, and never repeats a value.
 */

/** What was read, or what it must be. */
export type Reading<Value> = { readonly value: Value } | { readonly problem: string };

export interface Reader<Value> {
  /** `fromText`: an environment variable, where everything is text. */
  read(given: unknown, fromText: boolean): Reading<Value>;
}

export type ValueOf<R> = R extends Reader<infer Value> ? Value : never;

export function integer(min: number, max: number): Reader<number> {
  return number(min, max, `must be a whole number from ${min} to ${max}`, /^[0-9]+$/, Number.isSafeInteger);
}

/** Seconds in what is written, milliseconds in what is read. */
export function seconds(min: number, max: number): Reader<number> {
  const words = `must be a number of seconds from ${min} to ${max}`;
  const inSeconds = number(min, max, words, /^[0-9]+(\.[0-9]+)?$/, Number.isFinite);
  return {
    read(given, fromText) {
      const reading = inSeconds.read(given, fromText);
      return "problem" in reading ? reading : { value: Math.round(reading.value * 1000) };
    },
  };
}

function number(
  min: number,
  max: number,
  words: string,
  digits: RegExp,
  isRight: (value: number) => boolean,
): Reader<number> {
  return {
    read(given, fromText) {
      const value = fromText && digits.test(String(given)) ? Number(given) : given;
      const fits = typeof value === "number" && isRight(value) && value >= min && value <= max;
      return fits ? { value } : { problem: words };
    },
  };
}

const FLAGS = new Map(Object.entries({ true: true, "1": true, on: true, false: false, "0": false, off: false }));

export function flag(): Reader<boolean> {
  return {
    read(given, fromText) {
      const value = fromText ? FLAGS.get(String(given).toLowerCase()) : given;
      return typeof value === "boolean" ? { value } : { problem: "must be true or false" };
    },
  };
}

/** One of the names, whatever their case. What several names mean alike is listed by the first of them. */
export function choice<const Value extends string | number>(names: Readonly<Record<string, Value>>): Reader<Value> {
  const byName = new Map(Object.entries(names).map(([name, value]) => [name.toLowerCase(), value]));
  const listed = Object.keys(names).filter(
    (name, at, all) => all.findIndex((one) => names[one] === names[name]) === at,
  );
  return {
    read(given) {
      const isText = typeof given === "string" || typeof given === "number";
      const value = isText ? byName.get(String(given).toLowerCase()) : undefined;
      return value === undefined ? { problem: `must be one of ${listed.join(", ")}` } : { value };
    },
  };
}

/** `what` tells a person which texts match. */
export function text(pattern: RegExp, what: string): Reader<string> {
  return {
    read: (given) =>
      typeof given === "string" && pattern.test(given) ? { value: given } : { problem: `must be ${what}` },
  };
}

/** A list; in the environment, what stands between commas. */
export function list<Value>(item: Reader<Value>, max: number, what: string): Reader<readonly Value[]> {
  return {
    read(given, fromText) {
      const items: unknown = fromText
        ? String(given)
            .split(",")
            .map((one) => one.trim())
        : given;
      if (!Array.isArray(items) || items.length > max) return { problem: `must be ${what}` };
      const readings = items.map((one) => item.read(one, fromText));
      const values = readings.flatMap((reading) => ("value" in reading ? [reading.value] : []));
      return values.length === items.length ? { value: values } : { problem: `must be ${what}` };
    },
  };
}

/** Names and values that are text. */
export function pairs(max: number, what: string): Reader<Readonly<Record<string, string>>> {
  return {
    read(given) {
      const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
      const entries = isObject ? Object.entries(given) : [];
      const fits = isObject && entries.length <= max && entries.every(([, value]) => typeof value === "string");
      return fits ? { value: Object.fromEntries(entries) } : { problem: `must be ${what}` };
    },
  };
}
