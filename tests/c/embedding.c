/* What the embedding programs share. */
#define _GNU_SOURCE
#include "embedding.h"

#include <dirent.h>
#include <sched.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RECIPIENT "8123456789012345"
#define LARGE 8000000

hma_config *config_for(char **arguments)
{
    hma_config *config = hma_config_new(arguments[1], "17841450000000017", "hmat_live_local");

    hma_config_set_timeout(config, LONG_MILLISECONDS);
    hma_config_set_connect_timeout(config, LONG_MILLISECONDS);
    hma_config_set_keep_alive(config, LONG_MILLISECONDS);
    hma_config_set_ca_file(config, arguments[2]);
    return config;
}

hma_client *client_of(hma_config *config)
{
    hma_client *client = NULL;
    char *error = NULL;

    if (hma_client_new(config, &client, &error) != HMA_OK)
        fprintf(stderr, "%s\n", error);
    CHECK(client != NULL);
    hma_config_free(config);
    return client;
}

hma_client *client_for(char **arguments)
{
    return client_of(config_for(arguments));
}

/* Frees response and error. */
static hma_status checked(hma_status status, const char *text, hma_response *response, char *error)
{
    CHECK((status == HMA_OK) == (error == NULL));
    if (status == HMA_OK)
        CHECK_TEXT(hma_response_message_id(response), text);
    hma_response_free(response);
    hma_string_free(error);
    return status;
}

hma_status outcome_of(const hma_client *client, const char *text)
{
    hma_response *response = NULL;
    char *error = NULL;
    const hma_status status = hma_send_text(client, RECIPIENT, text, &response, &error);

    return checked(status, text, response, error);
}

hma_status outcome_of_json(const hma_client *client, const char *text, const char *body)
{
    hma_response *response = NULL;
    char *error = NULL;
    const hma_status status = hma_send_json(client, body, &response, &error);

    return checked(status, text, response, error);
}

void send_accepted(const hma_client *client, const char *text)
{
    send_fails(client, text, HMA_OK);
}

void send_fails(const hma_client *client, const char *text, hma_status expected)
{
    send_fails_with(client, text, expected, "");
}

void send_fails_with(const hma_client *client, const char *text, hma_status expected, const char *words)
{
    hma_response *response = NULL;
    char *error = NULL;
    const hma_status status = hma_send_text(client, RECIPIENT, text, &response, &error);

    if (status != expected)
        fprintf(stderr, "%s: %s\n", text, error == NULL ? "accepted" : error);
    CHECK(status == expected);
    if (*words != '\0') {
        if (error == NULL || strstr(error, words) == NULL)
            fprintf(stderr, "%s: %s\n", text, error == NULL ? "accepted" : error);
        CHECK(error != NULL && strstr(error, words) != NULL);
    }
    checked(status, text, response, error);
}

char *large_body(const char *text)
{
    char *body = malloc(LARGE + 256);
    int length;

    CHECK(body != NULL);
    length = sprintf(body, "{\"recipient\":{\"id\":\"" RECIPIENT "\"},\"message\":{\"text\":\"%s\"},\"padding\":\"", text);
    memset(body + length, 'x', LARGE);
    strcpy(body + length + LARGE, "\"}");
    return body;
}

void never_hang(void)
{
    alarm(LONG_MILLISECONDS / 1000);
}

long milliseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wait_for_child(long process)
{
    int status = -1;

    CHECK(waitpid((pid_t)process, &status, 0) == (pid_t)process);
    if (WIFSIGNALED(status))
        fprintf(stderr, "a child was ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == 14 ? ": it hung" : "");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Whether a thread is in this state; any state for '*'. */
static int is_in_state(const char *thread, char wanted)
{
    char path[300], line[400], state = ' ';
    const char *after_name;
    FILE *file;

    sprintf(path, "/proc/self/task/%s/stat", thread);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file) != NULL) {
        after_name = strrchr(line, ')');
        state = after_name == NULL ? ' ' : after_name[2];
    }
    fclose(file);
    return state == wanted || (wanted == '*' && state != ' ');
}

static int threads_in_state(char wanted)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    int count = 0;

    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            count += is_in_state(entry->d_name, wanted);
    closedir(folder);
    return count;
}

int threads(void)
{
    return threads_in_state('*');
}

int sleeping_threads(void)
{
    return threads_in_state('S');
}

void wait_for_threads(int number)
{
    while (threads() != number)
        sched_yield();
}

void wait_for_sleeping_threads(int number)
{
    while (sleeping_threads() != number)
        sched_yield();
}
