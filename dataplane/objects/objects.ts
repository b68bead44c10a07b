/** The door of the deep module behind all protocols: what objects are and what may be done with them. */
export type * from "./store.ts";
