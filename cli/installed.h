/*
 * installed.h - where the files are that were built and installed together with `tower`.
 */
#ifndef TOWER_CLI_INSTALLED_H
#define TOWER_CLI_INSTALLED_H

#include <stdbool.h>
#include <stddef.h>

/* A path as seen from any folder: a command may change its own. */
bool installed_absolute(const char *path, char *ret_path, size_t n);

/* libtower.so, or the one that TOWER_LIBRARY names.  False: stderr says why. */
bool installed_library(char *ret_path, size_t n);

/* The program that `tower bench` measures with.  False: stderr says why. */
bool installed_worker(char *ret_path, size_t n);

#endif
