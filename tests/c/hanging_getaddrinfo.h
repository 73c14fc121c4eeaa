/* A resolver that hangs on demand, linked into a program or preloaded, in front of the system's. */
#ifndef HANGING_GETADDRINFO_H
#define HANGING_GETADDRINFO_H

/* From now on lookups do not return. */
void hold_lookups(void);
void release_lookups(void);

/* How many were begun, and how many were under way at once at most. */
int lookups(void);
int most_lookups_at_once(void);

#endif
