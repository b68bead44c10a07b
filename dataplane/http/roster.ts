/**
 * Who is there, in no order. A Set would do, but for the garbage collector: a Set of few members that come and go often
 * gets a new table every few changes, and a table that has grown old keeps the next one, with all whom that one held,
 * until a collection of the whole heap. So all requests would grow old.
 */
export class Roster<Member> {
  /** Those behind `#count` are empty: an array that shrinks is replaced too. */
  readonly #seats: (Seat<Member> | undefined)[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** For a member that is not there yet. What this gives is called once, when it leaves. */
  enter(member: Member): () => void {
    const seat = { member, at: this.#count };
    this.#seats[this.#count] = seat;
    this.#count += 1;
    return () => this.#leave(seat);
  }

  *members(): Generator<Member, void, undefined> {
    for (const seat of this.#seats.slice(0, this.#count)) if (seat !== undefined) yield seat.member;
  }

  /** The last one takes the seat. */
  #leave(seat: Seat<Member>): void {
    if (this.#seats[seat.at] !== seat) throw new Error("left a roster twice");
    this.#count -= 1;
    const last = this.#seats[this.#count];
    this.#seats[this.#count] = undefined;
    if (last === undefined || last === seat) return;
    last.at = seat.at;
    this.#seats[seat.at] = last;
  }
}

interface Seat<Member> {
  readonly member: Member;
  at: number;
}
