/* What the embedding programs share: clients, sends whose answers are checked, time, threads that sleep. */
#ifndef EMBEDDING_H
#define EMBEDDING_H

#include <hookmyapp.h>
#include "check.h"

/* Longer than any test takes. */
#define LONG_MILLISECONDS 60000

/* For the base URL in arguments[1] and the CA file in arguments[2], with timeouts that no test needs. */
hma_config *config_for(char **arguments);
hma_client *client_for(char **arguments);

/* Frees the configuration. */
hma_client *client_of(hma_config *config);

/* The answer to an accepted send must be its own: the servers return the text as message id. */
hma_status outcome_of(const hma_client *client, const char *text);
hma_status outcome_of_json(const hma_client *client, const char *text, const char *body);
void send_accepted(const hma_client *client, const char *text);
void send_fails(const hma_client *client, const char *text, hma_status expected);
void send_fails_with(const hma_client *client, const char *text, hma_status expected, const char *words);

/* A body with this text that is larger than the buffers of two sockets; free it. */
char *large_body(const char *text);

/* Ends the process with SIGALRM if it is still there after some time that no test needs. */
void never_hang(void);

/* By the clock that only goes forward. */
long milliseconds(void);

/* Waits until a process has ended, and checks that it ended well. */
void wait_for_child(long process);

/* Threads of this process, the calling one too; and those that wait in the kernel. */
int threads(void);
int sleeping_threads(void);
void wait_for_threads(int number);
void wait_for_sleeping_threads(int number);

#endif
