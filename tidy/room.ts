// What a room of the house is.

/** A file that other rooms may import, and why it is not private. */
export type Doors = "all" | Readonly<Record<string, string>>;

export interface Room {
  readonly name: string;
  /** Matches the paths of its files. The first room of the table that matches has the file. */
  readonly files: RegExp;
  /** Rooms, or single files of rooms, that it may import, types too. Its own files and those of its family it always may. */
  readonly imports: readonly string[];
  readonly doors: Doors;
  /** npm packages. Tests may also load those of TEST_PACKAGES. */
  readonly packages: readonly string[];
  /** Where not every module of Node is right: those that are. */
  readonly builtins?: readonly string[];
  /** An adapter: this file alone may import it, beside tests, and no other adapter of the same port may. */
  readonly opener?: string;
}
