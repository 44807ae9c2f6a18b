/*
 * The repair of one slot whose writers were killed: core/slots_file.h says how, core/slots_records.c writes the
 * records, core/slots_repair.c counts anew.  One step here is one atomic access to shared memory there.
 *
 * A process may be killed before any of its steps, and is seen to be dead at any moment after (the second of grace
 * only makes repairs later).  Entries of other slots are FREE here: they mean nothing to this one.
 *
 * Checked:
 *   - the word counts every write of a living process, from its enter to its leave or while it is in doubt;
 *   - a repair puts in exactly what lives: no less than holds the slot now, no more than held it when it read the word;
 *   - no leave finds a count of 0;
 *   - a process that takes a dead one's record over finds it empty, and nobody else writes to it from then on;
 *   - at the end, when everybody has left or is dead, one undisturbed repair makes the count 0 (unless a write was made
 *     without a record), and the records of the dead can be taken over.
 *
 * The protocol is all choices at their defaults; each of the others is a variant that must fail.
 *   RECOUNT       1 counts the living anew; 0 takes away what the records of the dead say
 *   MARKS_LAST    1 entries, then marks; 0 marks first
 *   DOUBT_BUMPS   1 doubting changes the version before the mark is set
 *   SETTLE_BUMPS  1 settling changes the version before the mark is cleared
 *   GIVES_UP      1 an UNSURE entry of a living process ends the repair; 0 it counts as none
 *   SWAPS         1 the count is put in by compare-and-swap; 0 by a plain store
 *   CLEARING      1 who empties a dead one's record is alone in it, and stands in its owner meanwhile; 0 has looked at
 *                 the owner before
 *   SKIPS         1 a process takes no record over that another thread of it empties
 *   FLAG_FIRST    1 a write without a record says so before it enters; 0 after
 */
#ifndef RECOUNT
#define RECOUNT 1
#endif
#ifndef MARKS_LAST
#define MARKS_LAST 1
#endif
#ifndef DOUBT_BUMPS
#define DOUBT_BUMPS 1
#endif
#ifndef SETTLE_BUMPS
#define SETTLE_BUMPS 1
#endif
#ifndef GIVES_UP
#define GIVES_UP 1
#endif
#ifndef SWAPS
#define SWAPS 1
#endif
#ifndef CLEARING
#define CLEARING 1
#endif
#ifndef SKIPS
#define SKIPS 1
#endif
#ifndef FLAG_FIRST
#define FLAG_FIRST 1
#endif

/* Who takes part. */
#ifndef OPS
#define OPS 1		/* things that a writing thread does: write, doubt, settle */
#endif
#ifndef DOUBTS
#define DOUBTS 2	/* so many of the writers may be in doubt */
#endif
#ifndef WRITERS
#define WRITERS 2	/* processes with a record each */
#endif
#ifndef THREADS
#define THREADS 1	/* of the first of them */
#endif
#ifndef UNRECORDED
#define UNRECORDED 0	/* one more that has no record */
#endif
#ifndef REPAIRERS
#define REPAIRERS 1
#endif
#ifndef REPAIRS
#define REPAIRS 1	/* by each of them */
#endif
#ifndef HEIRS
#define HEIRS 0		/* new processes, that take a dead one's record over and write */
#endif
#ifndef SIBLING
#define SIBLING 0	/* 1: the first who repairs is a thread of the first new process */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef KILLABLE
#define KILLABLE 1	/* 1 writers, 2 also those who repair and take over */
#endif

#define FREE 0
#define UNSURE 1
#define ENTERED 2
#define ENTRIES 3	/* of a record: one for settling, one for each thread */
#define SETTLING 0
#define CLEARED_BY 16	/* in an owner: that process empties a dead one's record */
#define PROCESSES 8
#define NONE 255	/* no record */

byte cnt = 0;				/* the word's number of writes in flight */
/*
 * The word's version never comes twice, so it is not kept: what matters is who has read the word since it changed
 * last, a bit for each process.
 */
byte fresh = 0;
byte owner[WRITERS];			/* records */
byte entry[WRITERS * ENTRIES];
bit mark[WRITERS];
byte own[WRITERS];			/* whose it is to that process's own knowledge */
bool unrecorded = false;
bool alive[PROCESSES] = true;
byte doubts[PROCESSES]; bool locked[PROCESSES], repairing[PROCESSES]; /* private to each process */

byte kills = KILLS, running = 0;
byte held = 0, holds[PROCESSES];	/* by the living, for the assertions alone */

/* One access; or the process is killed before it; or it was killed by then. */
#define STEP(x) atomic { if \
	:: alive[me] -> x \
	:: alive[me] && mortal && kills > 0 -> kills--; alive[me] = false; held = held - holds[me]; holds[me] = 0; goto gone \
	:: !alive[me] -> goto gone fi }

#define E(r, i) entry[(r) * ENTRIES + (i)]
#define ADD_VERSION fresh = 0
#define ADD_ENTER fresh = 0; cnt++; held++; holds[me]++
#define ADD_LEAVE assert(cnt > 0); fresh = 0; cnt--; held--; holds[me]--; assert(cnt >= held)
#define IS_FRESH (fresh >> me & 1)
/* A repair that will not find its word again only reads from here on: it may as well end. */
#define IN_VAIN (SWAPS && !IS_FRESH)

inline enter() {
	if
	:: rec == NONE ->
		if :: FLAG_FIRST -> STEP(unrecorded = true); STEP(ADD_ENTER)
		:: else -> STEP(ADD_ENTER); STEP(unrecorded = true) fi
	:: else ->
		STEP(assert(E(rec, at) == FREE); E(rec, at) = UNSURE);
		STEP(ADD_ENTER);
		STEP(assert(E(rec, at) == UNSURE); E(rec, at) = ENTERED)
	fi
}

inline leave() {
	if
	:: rec == NONE -> STEP(ADD_LEAVE)
	:: else ->
		STEP(assert(E(rec, at) == ENTERED); E(rec, at) = UNSURE);
		STEP(ADD_LEAVE);
		STEP(assert(E(rec, at) == UNSURE); E(rec, at) = FREE)
	fi
}

inline lock() { atomic { (!locked[me] || !alive[me]) -> if :: alive[me] -> locked[me] = true :: else -> goto gone fi } }

inline doubt() {
	lock();
	if
	:: doubts[me] > 0 -> STEP(doubts[me]++; locked[me] = false); leave()
	:: else ->
		STEP(E(rec, at) = UNSURE);
		if :: DOUBT_BUMPS -> STEP(ADD_VERSION) :: else fi;
		STEP(mark[rec] = 1);
		STEP(E(rec, at) = FREE; doubts[me]++; locked[me] = false)
	fi
}

inline settle() {
	lock();
	if
	:: doubts[me] != 1 -> STEP(doubts[me] = (doubts[me] -> doubts[me] - 1 : 0); locked[me] = false)
	:: else ->
		STEP(E(rec, SETTLING) = UNSURE);
		if :: SETTLE_BUMPS -> STEP(ADD_VERSION) :: else fi;
		STEP(assert(mark[rec]); mark[rec] = 0);
		STEP(ADD_LEAVE);
		STEP(E(rec, SETTLING) = FREE; doubts[me] = 0; locked[me] = false)
	fi
}


/* Guards between steps are of local variables alone, which keeps the number of states small. */
#define READ(x) if :: ok -> STEP(if :: IN_VAIN -> ok = false :: else -> x fi) :: else fi

inline see(i) {
	READ(if :: E(r, i) == ENTERED -> n++ :: E(r, i) == UNSURE -> unsure = true :: else fi)
}

/* Threads of one process know each other: theirs is what they have claimed. */
#define IS_GONE(o, r) ((o) % CLEARED_BY == id -> own[r] != id : !alive[(o) % CLEARED_BY])

/* count_anew(): what lives, who is dead; ok: the slot can be judged now. */
inline count_anew() {
	do
	:: ok && r < WRITERS ->
		READ(o = owner[r]);
		if
		:: o == 0 || !ok
		:: else ->
#if !MARKS_LAST
			READ(n = n + mark[r]);
#endif
			see(0); see(1);
#if THREADS > 1
			see(2);
#endif
#if MARKS_LAST
			READ(n = n + mark[r]);
#endif
			if
			:: n == 0 && !unsure
			:: else ->
				READ(if
				:: IS_GONE(o, r) ->
					dead = dead | (1 << r); whose[r] = o; away = away + n + unsure
				:: else -> living = living + n; ok = !(unsure && GIVES_UP) && o < CLEARED_BY
				fi);
				READ(ok = owner[r] == o)
			fi
		fi;
		d_step { r++; n = 0; unsure = false; o = 0 }
	:: else -> break
	od;
	r = 0
}

/* forget_entries() */
inline forget(i) {
	STEP(x = E(r, i));
	if :: x != FREE -> STEP(if :: E(r, i) == x -> E(r, i) = FREE :: else fi) :: else fi
}

inline forget_dead() {
	do
	:: r < WRITERS && (dead >> r & 1) ->
		STEP(ok = owner[r] == whose[r]; if :: ok && CLEARING -> owner[r] = id + CLEARED_BY :: else fi);
		if
		:: ok ->
			forget(0); forget(1);
#if THREADS > 1
			forget(2);
#endif
			STEP(mark[r] = 0);
#if CLEARING
			STEP(owner[r] = whose[r])
#endif
		:: else
		fi;
		d_step { r++; x = 0 }
	:: r < WRITERS && !(dead >> r & 1) -> r++
	:: else -> break
	od;
	r = 0
}

/* repair(): one thread of a process at a time. */
inline repair() {
	STEP(ok = !repairing[id]; repairing[id] = true);
	if
	:: ok ->
		STEP(fresh = fresh | (1 << me); wc = cnt; held_then = held);
#if UNRECORDED
		STEP(ok = !unrecorded);
#endif
		count_anew();
		if
		:: !ok || dead == 0
		:: else ->
			if :: !RECOUNT -> living = (wc > away -> wc - away : 0) :: else fi;
			STEP(ok = IS_FRESH || !SWAPS;
			if
			:: ok -> fresh = 0; cnt = living; assert(living >= held && living <= held_then)
			:: else
			fi);
			if :: ok -> forget_dead() :: else fi
		fi;
		STEP(fresh = fresh & (255 - (1 << me)); repairing[id] = false)
	:: else
	fi;
	d_step { ok = false; wc = 0; held_then = 0; living = 0; away = 0; dead = 0; whose[0] = 0; whose[1] = 0 }
}

#define REPAIR_LOCALS byte wc, held_then, living, away, dead, r, o, n, x; byte whose[3]; bool ok, unsure

/* clear_record(): every entry, then the mark. */
inline clear() {
	do
	:: mine && i <= ENTRIES ->
		STEP(if :: i < ENTRIES -> busy = E(rec, i) != FREE :: else -> busy = mark[rec] fi);
		if
		:: busy ->
			repair();
			STEP(if :: i < ENTRIES -> mine = E(rec, i) == FREE :: else -> mine = !mark[rec] fi)
		:: else
		fi;
		d_step { busy = false; i++ }
	:: else -> break
	od;
	i = 0
}

/* take_over(); mine: it is this process's now. */
inline take_over() {
	STEP(before = owner[rec]; mine = IS_GONE(before, rec) && !(SKIPS && before == id + CLEARED_BY));
	clear();
	if
	:: mine ->
		STEP(mine = owner[rec] == before; if :: mine -> owner[rec] = id :: else fi);
		if :: mine -> STEP(own[rec] = id) :: else fi
	:: else
	fi;
	before = 0
}

proctype Writer(byte me; byte rec; byte at) {
	byte left = OPS; bool mortal = rec != NONE; /* killed, its slot would stay busy for good: safe */
	do
	:: left > 0 ->
		left--;
		if
		:: true -> enter(); leave()
		:: me <= DOUBTS && rec != NONE -> enter(); doubt()
		:: doubts[me] > 0 -> settle()
		fi
	:: left == 0 && doubts[me] > 0 -> settle()
	:: left == 0 && doubts[me] == 0 -> break
	od;
gone:	atomic { left = 0; running-- }
}

proctype Repairer(byte me; byte id) {
	REPAIR_LOCALS; byte left = REPAIRS; bool mortal = KILLABLE > 1;
	do
	:: left > 0 -> left--; repair()
	:: else -> break
	od;
gone:	atomic { left = 0; running-- }
}

proctype Heir(byte me) {
	REPAIR_LOCALS; byte id = me; byte rec = 0, at = 1, i, before; bool mortal = KILLABLE > 1, mine, busy;
	if :: rec = 0 :: WRITERS > 1 -> rec = 1 fi;
	take_over();
	if
	:: mine ->
		STEP(assert(E(rec, 0) == FREE && E(rec, 1) == FREE && E(rec, 2) == FREE && !mark[rec]));
		enter(); leave();
		STEP(assert(owner[rec] == me))
	:: else
	fi;
gone:	atomic { rec = 0; mine = false; running-- }
}

/* When nobody else runs any more. */
proctype Last(byte me) {
	REPAIR_LOCALS; byte id = me; byte rec = 0, i, before; bool mortal = false, mine, busy;
	running == 0;
	atomic { assert(held == 0); if :: unrecorded -> goto gone :: else fi }
	repair();
	assert(cnt == 0);
	do
	:: rec < WRITERS ->
		if :: !alive[owner[rec] % CLEARED_BY] -> take_over(); assert(mine) :: else fi;
		rec++
	:: else -> break
	od;
	assert(cnt == 0);
gone:	skip
}

init {
	atomic {
		owner[0] = 1; own[0] = 1;
		run Writer(1, 0, 1); running++;
		if :: THREADS > 1 -> run Writer(1, 0, 2); running++ :: else fi;
		if :: WRITERS > 1 -> owner[1] = 2; own[1] = 2; run Writer(2, 1, 1); running++ :: else fi;
		if :: UNRECORDED -> run Writer(3, NONE, 1); running++ :: else fi;
		if :: REPAIRERS > 0 -> run Repairer(4, (SIBLING -> 6 : 4)); running++ :: else fi;
		if :: REPAIRERS > 1 -> run Repairer(5, 5); running++ :: else fi;
		if :: HEIRS > 0 -> run Heir(6); running++ :: else fi;
		if :: HEIRS > 1 -> run Heir(7); running++ :: else fi;
		run Last(0);
	}
}
