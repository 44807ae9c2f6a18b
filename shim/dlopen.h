/*
 * dlopen.h - the interposed dlopen().
 *
 * A program that opens its modules with RTLD_DEEPBIND (PHP) would have them
 * find libmemcached before us, so that flag is cleared ([tower] rtld_deepbind).
 * glibc takes the caller, whose RUNPATH and $ORIGIN count, from the return
 * address: the interposed function is a jump and leaves no frame of ours.
 */
#ifndef TOWER_SHIM_DLOPEN_H
#define TOWER_SHIM_DLOPEN_H

/* The next dlopen in the order of search. */
void *shim_real_dlopen(const char *file, int mode);

#endif
