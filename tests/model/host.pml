/*
 * One slot of one host: processes with copies in memory, one memcached, no deeper layer.  core/slots.c and core/tower.c;
 * docs/COHERENCE.md says what is promised.  One step here is one atomic access to shared memory, one operation at
 * memcached, or one access to a process's memory, which has a lock.
 *
 * Values are the order numbers of the memcached writes that made them (0: the value at the start); NONE is absence.
 * Checked: a read that begins after a write was acknowledged never returns an older value, and a read that begins after
 * another read returned a value never returns an older one, wherever both ran.  A miss is always allowed.
 *
 * A write in doubt takes effect at any later moment, or never.  Its slot stays entered until it is settled:
 *   LATE 0  only after it took effect, or when it is known that it never will.  This stands for an answer on the same
 *           connection, and for the assumption that nothing sent takes effect later than SLOTS_DOUBT_NS (in doubt) or
 *           SLOTS_SENT_NS (sent) after the last that was heard of it.
 *   LATE 1  the bound may be broken: it is settled at any moment, and takes effect afterwards.  Then other processes may
 *           still serve what they had before it, for up to memory.ttl, which this model does not count.  Whoever read
 *           such a value is therefore not held against later reads; all else must hold as before.
 *   LATE 2  as 1, but it is held against them: must fail, or the exception above would be an idle one.
 *
 * The protocol is all choices at their defaults; each of the others is a variant that must fail.
 *   BUMP       3 the version changes on entering (1) and on leaving (2)
 *   INFLIGHT   1 a slot with a write in flight gives no hit and takes no fill
 *   FILL       1 a fill carries the token loaded before the fetch; 0 one loaded after it
 *   ALONE      1 a writer keeps its own value only where it was alone
 *   OWN_FLUSH  1 and only under the count of flushes read before it entered; 0 under the one after it left
 *   FLUSH      1 the count of flushes changes after memcached's flush; 0 before it
 */
#ifndef BUMP
#define BUMP 3
#endif
#ifndef INFLIGHT
#define INFLIGHT 1
#endif
#ifndef FILL
#define FILL 1
#endif
#ifndef ALONE
#define ALONE 1
#endif
#ifndef OWN_FLUSH
#define OWN_FLUSH 1
#endif
#ifndef FLUSH
#define FLUSH 1
#endif
#ifndef LATE
#define LATE 0
#endif

/* Who takes part.  Writers write in turn in process 0 and 1, so do readers read. */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 1	/* of each, in sequence */
#endif
#ifndef DOUBTERS
#define DOUBTERS 0	/* as many of the writers do not hear of the outcome */
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef READS
#define READS 2
#endif
#ifndef FLUSHES
#define FLUSHES 0
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#if FLUSHES
#define SEE_NO_FLUSH
#else
#define SEE_NO_FLUSH SEE(has_flushes)	/* nobody flushes: no step of its own */
#endif
#define PROCESSES 2
#define NONE 255

byte mc = 0, n = 0;				/* memcached's value; order of its writes */
byte w = 0;					/* the slot's word: writes in flight */
/*
 * Neither the word's version nor the count of flushes comes twice, so their values do not matter: only who has the
 * present one, a bit for each reader and writer.  A copy under an older token is never a hit again: it is gone at once.
 */
byte has_version = 0, has_flushes = 0;
byte value[PROCESSES] = NONE;			/* each process's copy */
byte acked = 0, maxseen = 0;
byte evictions = EVICTIONS;
byte late = NONE;				/* the value of a write that took effect after its doubt was settled */

#define VOID value[0] = NONE; value[1] = NONE
#define CHANGE has_version = 0; VOID
#define FLUSHED has_flushes = 0; VOID
#define SEE(x) x = x | (1 << me)
#define LOSE(x) x = x & (255 - (1 << me))
#define SEES(x) (x >> me & 1)
#define ENTER if :: BUMP & 1 -> CHANGE :: else fi; w = w + (BUMP == 3)
#define LEAVE if :: BUMP & 2 -> CHANGE :: else fi; w = w - (BUMP == 3)
#define HIGHER(x, y) x = (y > x -> y : x)
#define STORE(x) value[p] = (SEES(has_version) && SEES(has_flushes) -> x : NONE)
#define RETURN assert(x >= a); assert(x >= m); if :: x != late || LATE == 2 -> HIGHER(maxseen, x) :: else fi; \
	LOSE(has_version); LOSE(has_flushes)

/*
 * Where two steps stand in one here, taking the second at once allows no less and demands no less: a call that begins
 * later, or returns earlier, only makes the assertions stronger.
 */
proctype Writer(byte me; byte p; bool doubts) {
	byte left = WRITES, my = 0; bool alone, deletes;
	do
	:: left > 0 ->
		left--;
		if :: deletes = false :: deletes = true fi;
#if FLUSHES
		SEE(has_flushes);
#endif
		atomic { alone = (w == 0); ENTER; SEE(has_version); SEE_NO_FLUSH; } /* slots_enter() */
		if
		:: !doubts ->
			atomic { n++; my = n; mc = (deletes -> NONE : my); }	/* the call */
			atomic { alone = alone && SEES(has_version); LEAVE; SEE(has_version); } /* slots_leave() */
#if FLUSHES && !OWN_FLUSH
			SEE(has_flushes);
#endif
			atomic {						/* memory_written(); the call returns */
				if :: !deletes && (alone || !ALONE) -> STORE(my) :: else -> value[p] = NONE fi;
				HIGHER(acked, my); LOSE(has_version); LOSE(has_flushes); }
		:: else ->
			atomic { CHANGE; LOSE(has_version); LOSE(has_flushes); }	/* slots_doubt() */
			if
			:: atomic { n++; my = n; mc = (deletes -> NONE : my); }
			:: true							/* it is lost, or late */
			fi;
			atomic { CHANGE; }					/* slots_settle() */
			atomic { LEAVE; }
			if
			:: my > 0 && LATE == 0 -> atomic { HIGHER(acked, my); }	/* the program was told */
			:: my == 0 && LATE > 0 ->
				if
				:: atomic { late == NONE -> n++; late = n; mc = (deletes -> NONE : late); }
				:: true
				fi
			:: else
			fi
		fi;
		d_step { my = 0; alone = false; deletes = false; }
	:: else -> break
	od
}

/* tower_read_begin(), tower_read_end(); several may run in one process, as threads. */
proctype Reader(byte me; byte p) {
	byte left = READS, a, m, x; bool usable;
	do
	:: left > 0 ->
		left--; x = NONE;
		atomic { a = acked; m = maxseen;				/* the call begins */
			SEE(has_version); SEE_NO_FLUSH; usable = (!INFLIGHT || w == 0); } /* slots_load() */
#if FLUSHES
		SEE(has_flushes);
#endif
		if
		:: usable -> atomic {						/* memory_get() */
			if
			:: SEES(has_version) && SEES(has_flushes) && value[p] != NONE -> x = value[p]; RETURN
			:: else -> value[p] = NONE
			fi }
		:: else
		fi;
		if
		:: x != NONE							/* it was a hit */
		:: else ->
			x = mc;							/* the real get */
#if !FILL
			atomic { SEE(has_version); SEE(has_flushes); usable = (w == 0); }
#endif
			if
			:: x != NONE -> atomic {
				if :: usable -> STORE(x) :: else fi;		/* memory_fill(); the call returns */
				RETURN }
			:: else -> atomic { LOSE(has_version); LOSE(has_flushes); }	/* a miss */
			fi
		fi;
		d_step { x = NONE; a = 0; m = 0; usable = false; }
	:: else -> break
	od
}

/* tower_flush(), at once. */
proctype Flusher() {
	byte left = FLUSHES, my;
	do
	:: left > 0 ->
		left--;
		if :: !FLUSH -> atomic { FLUSHED; } :: else fi;
		atomic { n++; my = n; mc = NONE; }
		if :: FLUSH -> atomic { FLUSHED; } :: else fi;				/* slots_flush() */
		atomic { HIGHER(acked, my); my = 0; }
	:: else -> break
	od
}

/* memcached may drop what it has at any moment. */
proctype Evictor() {
	do
	:: atomic { evictions > 0 && mc != NONE -> mc = NONE; evictions--; }
	:: break
	od
}

init {
	byte i = 0;
	atomic {
		do
		:: i < WRITERS -> run Writer(i, i % 2, i < DOUBTERS); i++
		:: else -> i = 0; break
		od;
		do
		:: i < READERS -> run Reader(WRITERS + i, i % 2); i++
		:: else -> i = 0; break
		od;
		if :: FLUSHES > 0 -> run Flusher() :: else fi;
		if :: EVICTIONS > 0 -> run Evictor() :: else fi;
	}
}
