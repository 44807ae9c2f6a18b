/*
 * page.h - the page that `tower metrics --listen` shows to people: cli/page.html, as it is.
 */
#ifndef TOWER_CLI_PAGE_H
#define TOWER_CLI_PAGE_H

/* From the one to the other; no NUL behind it. */
extern const char page_html[];
extern const char page_html_end[];

#endif
