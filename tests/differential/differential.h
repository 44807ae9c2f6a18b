/*
 * differential.h - names on which the driver and its workers agree.
 */
#ifndef TOWER_TESTS_DIFFERENTIAL_DIFFERENTIAL_H
#define TOWER_TESTS_DIFFERENTIAL_DIFFERENTIAL_H

/* In a worker's current folder; nothing listens on the last one. */
#define DIFFERENTIAL_SERVER_1 "m1"
#define DIFFERENTIAL_SERVER_2 "m2"
#define DIFFERENTIAL_SERVER_DEAD "dead"

/*
 * With --big the clock moves by so many seconds, and no value ends within a second
 * of such a moment: memcached ends it up to one second early, and may do so or not.
 */
#define BIG_SECOND 3

/* The role of this program that driver.c starts; see there for the arguments. */
int worker_main(char **args);

#endif
