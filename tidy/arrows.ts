// Judges who imports what: rooms, doors, packages, and cycles between files.

import type { Room } from "./room.ts";
import { GUARDED_BUILTINS, isTest, ROOMS, roomOf, TEST_DOORS, TEST_PACKAGES } from "./rooms.ts";
import type { Import, SourceFile } from "./source.ts";

/** Every offence as `path:line what. What to do instead.` */
export function arrowProblems(files: readonly SourceFile[]): readonly string[] {
  const known = new Set(files.map((file) => file.path));
  return files.flatMap((file) => {
    const room = roomOf(file.path);
    if (room === undefined) {
      return [
        `${file.path}:1 stands in no room. Put it into the room whose noun it is, or give ROOMS in tidy/rooms.ts a line.`,
      ];
    }
    return file.imports.flatMap((found) => {
      const problem =
        found.target === undefined
          ? packageProblem(file, room, found.specifier)
          : known.has(found.target)
            ? fileProblem(file, room, found, found.target)
            : undefined;
      return problem === undefined ? [] : [`${file.path}:${found.line} ${problem}`];
    });
  });
}

function packageProblem(file: SourceFile, room: Room, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) return builtinProblem(file, room, specifier);
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (room.packages.includes(name)) return undefined;
  if (isTest(file.path) && TEST_PACKAGES.includes(name)) return undefined;
  const homes = ROOMS.filter((other) => other.packages.includes(name)).map((other) => other.name);
  const instead =
    homes.length > 0
      ? `Ask ${homes.join(" or ")}, which has it.`
      : "Do it with Node alone, or name the package in tidy/rooms.ts with its reason.";
  return `loads the package ${name}, which ${room.name} may not. ${instead}`;
}

function builtinProblem(file: SourceFile, room: Room, specifier: string): string | undefined {
  if (isTest(file.path)) return undefined;
  if (room.builtins !== undefined && !room.builtins.includes(specifier)) {
    return `loads ${specifier}, but ${room.name} keeps to ${room.builtins.join(", ") || "plain data"}. Take what you need as a parameter.`;
  }
  const base = specifier.split("/", 1).join("");
  const may = GUARDED_BUILTINS[base];
  if (may === undefined || may.test(file.path)) return undefined;
  return `loads ${specifier}, which only ${may.source} may. Leave that to the room whose work it is.`;
}

function fileProblem(file: SourceFile, room: Room, found: Import, target: string): string | undefined {
  if (found.specifier.includes("../../../")) {
    return `climbs three levels to ${target}. Move what is shared into a room with a door, or the file nearer to it.`;
  }
  if (/(^|\/)main\.ts$/.test(target)) {
    // `npm start` runs the data plane as a child: it knows where the program lies, and nothing of its inside.
    if (found.isAddress && room.name === "operator/local/") return undefined;
    return `imports ${target}. A main.ts only wires: move what you need into the room whose work it is.`;
  }
  const other = roomOf(target);
  if (other === undefined || other === room) return undefined;
  if (isTest(target) && !isTest(file.path)) {
    return `imports ${target}, which is for tests. Move what both need into a file without a test's name.`;
  }
  // An adapter belongs to the family of its port, and so do its tests.
  if (room.opener !== undefined && other.name === familyOf(room.opener)) return undefined;
  if (isTest(file.path)) return testProblem(room, other, target);
  if (other.opener !== undefined) {
    if (other.opener === file.path) return undefined;
    return `imports the adapter ${other.name}. Open it through ${other.opener}, so that what is not used is not loaded.`;
  }
  if (!room.imports.includes(other.name) && !room.imports.includes(target)) {
    return `imports ${target}, but ${room.name} may import only ${room.imports.join(", ") || "itself"}. ${TURN}`;
  }
  return doorProblem(other, target);
}

const TURN = "Turn the arrow: define the type where it is used, and let the caller pass the value.";

function testProblem(room: Room, other: Room, target: string): string | undefined {
  if (room.name === "e2e/" && other.name !== "crds/") {
    return `imports ${target}. An end-to-end test is a client: it has the network, files and programs, and the API in crds/.`;
  }
  return TEST_DOORS.test(target) ? undefined : doorProblem(other, target);
}

function doorProblem(other: Room, target: string): string | undefined {
  if (other.doors === "all" || target in other.doors) return undefined;
  const doors = Object.keys(other.doors).join(", ") || "none: nobody imports it";
  return `imports ${target}, which is private to ${other.name}. Its doors: ${doors}. Export it from a door, or name a new one in tidy/rooms.ts with its reason.`;
}

function familyOf(opener: string): string {
  return opener.slice(0, opener.lastIndexOf("/") + 1);
}

/** The arrows that the table allows must not lead in a circle, and must lead to what exists; no room stands twice. */
export function tableProblems(rooms: readonly Room[]): readonly string[] {
  const names = new Set(rooms.map((room) => room.name));
  const nameOf = (target: string) => (names.has(target) ? target : rooms.find((room) => room.files.test(target))?.name);
  const lost = rooms.flatMap((room) =>
    room.imports
      .filter((target) => nameOf(target) === undefined)
      .map((target) => `${room.name} may import ${target}, which is no room. Correct the name in tidy/rooms.ts.`),
  );
  const graph = new Map(
    rooms.map((room) => [room.name, room.imports.map(nameOf).filter((name) => name !== undefined)]),
  );
  const twice = rooms
    .filter((room, at) => rooms.findIndex(({ name }) => name === room.name) !== at)
    .map((room) => `${room.name} stands twice, and only the first counts. Take one out of tidy/rooms.ts.`);
  return [
    ...lost,
    ...twice,
    ...cycles(graph).map(
      (cycle) =>
        `${cycle.join(" → ")} is a circle of rooms. Take out the arrow that says who serves whom the wrong way.`,
    ),
  ];
}

/** Files that import each other, through however many others, types too. */
export function cycleProblems(files: readonly SourceFile[]): readonly string[] {
  const graph = new Map(
    files
      .filter((file) => !isTest(file.path))
      .map((file) => [file.path, file.imports.flatMap((found) => found.target ?? [])] as const),
  );
  return cycles(graph).map(
    (cycle) =>
      `${cycle.join(" → ")} is a circle of imports. Move what both ends need into a file that imports neither.`,
  );
}

/** One circle, first node repeated at its end, for each arrow that closes one in a walk from every node. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const done = new Set<string>();
  const way: string[] = [];
  const found: string[][] = [];
  const walk = (node: string) => {
    const seenAt = way.indexOf(node);
    if (seenAt >= 0) {
      found.push([...way.slice(seenAt), node]);
      return;
    }
    if (done.has(node) || !graph.has(node)) return;
    way.push(node);
    for (const next of graph.get(node) ?? []) walk(next);
    way.pop();
    done.add(node);
  };
  for (const node of graph.keys()) walk(node);
  return found;
}
