/* A resolver that hangs on demand. */
#define _GNU_SOURCE
#include "hanging_getaddrinfo.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/types.h>
#include <sys/socket.h>

typedef int lookup_function(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static int is_held, begun, under_way, most;

void hold_lookups(void)
{
    pthread_mutex_lock(&mutex);
    is_held = 1;
    pthread_mutex_unlock(&mutex);
}

void release_lookups(void)
{
    pthread_mutex_lock(&mutex);
    is_held = 0;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&mutex);
}

int lookups(void)
{
    int number;

    pthread_mutex_lock(&mutex);
    number = begun;
    pthread_mutex_unlock(&mutex);
    return number;
}

int most_lookups_at_once(void)
{
    int number;

    pthread_mutex_lock(&mutex);
    number = most;
    pthread_mutex_unlock(&mutex);
    return number;
}

static void enter(void)
{
    pthread_mutex_lock(&mutex);
    ++begun;
    if (++under_way > most)
        most = under_way;
    while (is_held)
        pthread_cond_wait(&released, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void leave(void)
{
    pthread_mutex_lock(&mutex);
    --under_way;
    pthread_mutex_unlock(&mutex);
}

static lookup_function *system_lookup(void)
{
    void *address = dlsym(RTLD_NEXT, "getaddrinfo");
    lookup_function *lookup;

    memcpy(&lookup, &address, sizeof lookup);
    return lookup;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int outcome;

    enter();
    outcome = system_lookup()(node, service, hints, result);
    leave();
    return outcome;
}
