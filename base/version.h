/* version.h - the one place where the version stands; the Makefile reads it. */
#ifndef TOWER_BASE_VERSION_H
#define TOWER_BASE_VERSION_H

#define TOWER_VERSION "0.1.0"

#endif
