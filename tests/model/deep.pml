/*
 * One key, one domain, Redis beneath: layers/redis_write.c, redis_mark.c, redis_commit.c, redis_shared.c, redis_place.c,
 * core/tower_write.c, core/promote.c; docs/DEEP-TIER.md.  What domain.pml leaves out: marks that fail, new generations, calls that change
 * nothing, owners that are killed or stopped, flushes.  One step is one atomic access to the table, one command at
 * memcached or Redis, or one pipeline that Redis answers.
 *
 * A record names a token, as a mark (PENDING_BY) or a value; beside it lies a body that names its own.  A value is there
 * where the tokens are the same.  A set commits with the body alone, whatever the record is by then; every other verb
 * with a script.
 *
 * Values are the order numbers of the memcached writes that made them (0: the value at the start); NONE is absence.
 * Checked: a read that begins after a write, touch or flush was acknowledged never returns an older value, and one that
 * begins after another read returned a value never returns an older one.  A call that needs a value never works on an
 * older one than was acknowledged.  A miss is always allowed.
 *
 * The protocol is all choices at their defaults; each of the others is a variant that must fail.
 *   TOKEN    1 a commit by script needs the record to be pending with its own token
 *   BODY     1 a body is read only under a record of its own token; 0 under any mark
 *   ALONE    1 a commit needs that nobody else was in the slot
 *   TRUST    1 what a mark found counts only where no earlier mark had failed when the slot was entered
 *   LIST     1 a mark that failed makes the key unmarked before the slot is left; 0 it is forgotten
 *   ORDER    1 it marks first and takes away then; 0 the other way round
 *   CHECK    1 a read compares the generation it assumed with the one in Redis
 *   AGAIN    1 a mark that assumed another generation is made again in the present one
 *   COUNT    1 failures are counted before a new generation is begun; 0 after it
 *   LOCK     1 writers wait for the owner of the slot
 *   WAIT     1 a flush waits for owners, and nobody owns meanwhile
 *   BACK     1 an owner that was overtaken deletes the key
 *   ABANDON  1 a repair makes the intents of the dead unmarked before the slot is free
 *   PENDING  0 a commit minds another's mark that its own found; 1 it does
 */
#ifndef TOKEN
#define TOKEN 1
#endif
#ifndef BODY
#define BODY 1
#endif
#ifndef ALONE
#define ALONE 1
#endif
#ifndef TRUST
#define TRUST 1
#endif
#ifndef LIST
#define LIST 1
#endif
#ifndef ORDER
#define ORDER 1
#endif
#ifndef CHECK
#define CHECK 1
#endif
#ifndef AGAIN
#define AGAIN 1
#endif
#ifndef COUNT
#define COUNT 1
#endif
#ifndef LOCK
#define LOCK 1
#endif
#ifndef WAIT
#define WAIT 1
#endif
#ifndef BACK
#define BACK 1
#endif
#ifndef ABANDON
#define ABANDON 1
#endif
#ifndef PENDING
#define PENDING 0
#endif

/* Who takes part. */
#ifndef OPS
#define OPS SET, SET
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 2
#endif
#ifndef PUTS
#define PUTS 1		/* readers put back what they found */
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef FAILS
#define FAILS 0		/* marks that do not reach Redis */
#endif
#ifndef OVERFLOWS
#define OVERFLOWS 0	/* they make the server unclean, not the key unmarked */
#endif
#ifndef RENEWERS
#define RENEWERS 0
#endif
#ifndef REMARKERS
#define REMARKERS 0
#endif
#ifndef FLUSHERS
#define FLUSHERS 0
#endif
#ifndef KILLS
#define KILLS 0		/* writers and owners that are killed at any step */
#endif
#ifndef STOPS
#define STOPS 0		/* owners that writers give up waiting for */
#endif
#ifndef EXCUSED
#define EXCUSED 0	/* reads of what an overtaken owner put back are not held against it */
#endif
#ifndef COPY
#define COPY 0		/* at the end the key must have a deep copy */
#endif
#ifndef GENERATION
#define GENERATION 0	/* one that a renewer begins whether or not it is needed */
#endif

#define SET 0
#define DELETE 1
#define CHANGE_IT 3	/* append, increment: needs a value */
#define TOUCH 4		/* needs a value, keeps it */
#define REFUSED 5	/* add where there is one, cas that lost: changes nothing */
#define NOBODY 9

#define NONE 255
#define ABSENT 0
#define VALUE 1
#define PENDING_BY 2
#define GENERATIONS 3

byte mc = 0, n = 0;
byte rec[GENERATIONS], rtok[GENERATIONS];		/* the record */
byte bv[GENERATIONS], btok[GENERATIONS];		/* the body */
byte generation = 0;
byte w = 0, owner = 0, has_version = 0;		/* the slot; who has its present version, a bit each */
bool flushing = false, flushed[8];
byte unmarked = 0;				/* 0: not; else the number of the entry */
byte entries = 0;
byte unclean = 0, cleaned = 0;
byte acked = 0, maxseen = 0;
byte evictions = EVICTIONS, fails = FAILS, kills = KILLS, stops = STOPS;
byte haunted = NONE;				/* what an overtaken owner may have put back */
bool marking[8], dead[8];			/* writers whose mark has not been answered; killed in the slot */

#define SEE has_version = has_version | (1 << me)
#define LOSE has_version = has_version & (255 - (1 << me))
#define SEES (has_version >> me & 1)
#define CHANGE has_version = 0
#define THERE(k) (rec[k] != ABSENT && (btok[k] == rtok[k] || (!BODY && rec[k] == PENDING_BY)))
#define HIGHER(x, y) x = (y > x -> y : x)
#define FAIL if :: OVERFLOWS -> unclean++ :: else -> entries++; unmarked = entries fi
#define KILLABLE if :: kills > 0 && me > 0 -> atomic { kills--; dead[me] = true; goto killed } :: true fi

proctype Writer(byte op; byte me) {
	byte my = 0, old = NONE, oldtok = 0, known = 0, k = 0, x;
	bool alone, trusted, done = false, mcdone = false, marked = false, failed = false, lost = false, minds = false;

	marking[me] = true;						/* redis_announce() */
	atomic {							/* slots_enter() */
		(!LOCK || owner == 0 || stops > 0) ->
		if :: LOCK && owner != 0 -> stops--; haunted = 0; owner = 0 :: else fi;
		alone = (w == 0); w++; CHANGE; SEE; }
	KILLABLE;
	/* What the process knows of the generation may be old. */
	atomic { trusted = (unmarked == 0 && unclean == cleaned); if :: known = generation :: known = 0 fi; }
	do
	:: atomic { !mcdone -> mcdone = true;				/* the program's call */
		if
		:: op == SET -> n++; my = n; mc = my; done = true
		:: op == DELETE -> n++; my = n; lost = (mc == NONE); mc = NONE; done = true
		:: op == REFUSED -> skip
		:: else ->
			if
			:: mc == NONE -> lost = true
			:: else -> assert(mc >= acked || mc == haunted);
				if :: op == CHANGE_IT -> n++; my = n; mc = my :: else -> my = mc fi;
				done = true
			fi
		fi }
	:: atomic { !marked && !failed -> k = known;			/* SET record, beside GET generation */
		oldtok = (rec[k] == ABSENT -> NONE : rtok[k]);
		minds = (rec[k] == PENDING_BY && btok[k] != rtok[k]);
		rec[k] = PENDING_BY; rtok[k] = me;
		if :: generation == k || !AGAIN -> marked = true :: else -> known = generation fi; }
	:: atomic { !marked && !failed && fails > 0 -> fails--; failed = true; }
	:: atomic { kills > 0 && mcdone && !marked -> kills--; dead[me] = true; goto killed }
	:: mcdone && (marked || failed) -> break
	od;
	KILLABLE;
	atomic {							/* whose body it is: GETRANGE, not in the same step */
		if
		:: op != SET && !failed && oldtok != NONE && (btok[k] == oldtok || !BODY) && (!TRUST || trusted) -> old = bv[k]
		:: else
		fi }
	if
	:: lost && op != DELETE && old != NONE && alone ->		/* bring_back() */
		if
		:: atomic { w == 1 && SEES && owner == 0 && (!WAIT || (!flushing && !flushed[me])) -> owner = (LOCK -> me : 0); }
			KILLABLE;
			atomic { if :: mc == NONE -> mc = old :: else fi }
			KILLABLE;
			if
			:: atomic { !LOCK || owner == me -> owner = 0; }
			:: atomic { LOCK && owner != me -> alone = false;
				if :: BACK -> mc = NONE :: else fi; haunted = NONE; }
			fi;
			atomic {					/* the call once more */
				if
				:: mc != NONE -> assert(mc >= acked || mc == haunted);
					if :: op == CHANGE_IT -> n++; my = n; mc = my :: else -> my = mc fi;
					done = true; lost = false
				:: else
				fi }
		:: true							/* not alone: absent, as if evicted */
		fi
	:: else
	fi;
	atomic {							/* redis_marked(): before the slot is left */
		if :: failed && LIST -> FAIL :: else fi;
		marking[me] = false; }
	atomic { alone = alone && SEES && !(WAIT && (flushing || flushed[me])); w--; CHANGE; } /* slots_leave() */
	KILLABLE;
	atomic { if :: done -> HIGHER(acked, my) :: else fi }		/* the call returns */
	atomic {							/* the commit, whenever it arrives */
		if
		:: marked && (!ALONE || alone) && (!TRUST || trusted) && !(PENDING && minds) ->
			if
			:: op == SET -> btok[k] = me; bv[k] = my
			:: op != SET && (!TOKEN || (rec[k] == PENDING_BY && rtok[k] == me)) ->
				if
				:: op == CHANGE_IT && done && old != NONE ->
					rec[k] = VALUE; rtok[k] = 100 + me; btok[k] = 100 + me; bv[k] = my
				:: op == DELETE -> rec[k] = ABSENT
				:: (op == TOUCH || op == REFUSED) && old != NONE -> rec[k] = VALUE; rtok[k] = oldtok
				:: else -> skip
				fi
			:: else
			fi
		:: else
		fi }
	goto done_;
killed:									/* core/slots_repair.c, after the grace */
	atomic {
		if :: ABANDON && marking[me] -> FAIL :: else fi;
		marking[me] = false; }
	atomic { if :: owner == me -> owner = 0 :: else fi; if :: w > 0 -> w-- :: else fi; CHANGE; }
done_:	skip
}

proctype Reader(byte me) {
	byte left = READS, a, m, x, known = 0; bool excused;
	do
	:: left > 0 -> left--; x = NONE;
		atomic { a = acked; m = maxseen; SEE; if :: w > 0 -> LOSE :: else fi; /* slots_load() */
			if :: known = generation :: true fi; }		/* it may have learned it from another key */
		atomic { x = mc; excused = (EXCUSED && haunted != NONE); }	/* the real get */
		if
		:: x == NONE && SEES && w == 0 ->			/* a clean miss, the slot as it was */
			if
			:: unmarked == 0 && unclean == cleaned ->
				atomic {				/* MGET record body, beside GET generation */
					x = (THERE(known) -> bv[known] : NONE);
					if :: generation != known -> if :: CHECK -> x = NONE :: else fi;
						known = generation :: else fi; }
				if
				:: x != NONE && PUTS ->			/* tower_promote() */
					if
					:: atomic { w == 0 && SEES && (!WAIT || (!flushing && !flushed[me])) ->
						w++; CHANGE; SEE; owner = (LOCK -> me : 0); }
						KILLABLE;
						atomic { if :: mc == NONE -> mc = x :: else fi }
						KILLABLE;
						if
						:: atomic { !LOCK || owner == me -> owner = 0; }
						:: atomic { LOCK && owner != me ->
							if :: BACK -> mc = NONE :: else fi; haunted = NONE; }
						fi;
						atomic { w--; CHANGE; }
					:: true
					fi
				:: else
				fi
			:: else
			fi
		:: else
		fi;
		atomic {
			if
			:: x != NONE && !excused ->
				assert(x >= a); assert(x >= m); HIGHER(maxseen, x)
			:: else
			fi;
			flushed[me] = false; excused = false; LOSE; x = NONE; a = 0; m = 0; }
	:: else -> goto done_
	od;
killed:
	atomic { if :: owner == me -> owner = 0 :: else fi; if :: w > 0 -> w-- :: else fi; CHANGE; }
done_:	skip
}

/* redis_place_learn() where the server is unclean. */
proctype Renewer() {
	byte u, seen;
	if
	:: GENERATION > 0 || unclean > cleaned ->
		if :: COUNT -> u = unclean :: else fi;
again:		seen = generation;
		if
		:: atomic { generation == seen && generation < GENERATIONS - 1 -> generation++; }
			if :: !COUNT -> u = unclean :: else fi;
			atomic { HIGHER(cleaned, u); }
		:: atomic { generation != seen && generation < GENERATIONS - 1 -> goto again }	/* another was quicker */
		:: generation == GENERATIONS - 1					/* as many as there are here */
		fi
	:: true
	fi
}

/* Whoever reaches Redis next: redis_session_begin(). */
proctype Remarker() {
	byte seen = 0, known = 0;
	atomic { unmarked != 0 -> seen = unmarked; known = generation; }
	if :: !ORDER -> atomic { if :: unmarked == seen -> unmarked = 0 :: else fi } :: else fi;
	atomic { rec[known] = PENDING_BY; rtok[known] = 200; if :: known != generation -> goto done_ :: else fi }
	if :: ORDER -> atomic { if :: unmarked == seen -> unmarked = 0 :: else fi } :: else fi;
done_:	skip
}

/* tower_flush(), at once. */
proctype Flusher() {
	byte my, i;
	flushing = true;
	if :: WAIT -> owner == 0 :: else fi;
	atomic { n++; my = n; mc = NONE; }
	atomic { if :: generation < GENERATIONS - 1 -> generation++ :: else -> rec[generation] = ABSENT fi }
	atomic { CHANGE; i = 0; do :: i < 8 -> flushed[i] = true; i++ :: else -> break od; i = 0; }
	flushing = false;
	atomic { HIGHER(acked, my); my = 0; }
}

proctype Evictor() {
	do
	:: atomic { evictions > 0 && mc != NONE -> mc = NONE; evictions-- }
	:: break
	od
}

byte ops[2] = { OPS };
init {
	byte i = 0;
	atomic {
		rec[0] = VALUE;
		do
		:: i < 2 -> if :: ops[i] != NOBODY -> run Writer(ops[i], i + 1) :: else fi; i++
		:: else -> i = 0; break
		od;
		do :: i < READERS -> run Reader(3 + i); i++ :: else -> i = 0; break od;
		do :: i < RENEWERS -> run Renewer(); i++ :: else -> i = 0; break od;
		do :: i < REMARKERS -> run Remarker(); i++ :: else -> i = 0; break od;
		if :: FLUSHERS -> run Flusher() :: else fi;
		if :: EVICTIONS > 0 -> run Evictor() :: else fi;
	}
#if COPY
	_nr_pr == 1;
	run Writer(SET, 6);					/* after a collision, the next that is alone */
	_nr_pr == 1;
	assert(THERE(generation) && bv[generation] == n);
#endif
}
