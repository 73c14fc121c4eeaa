/* The loop of the C programs: sends once, says "ready", and then sends so often as each line of standard input asks:
 * "sends N" after one that wakes the server, "one" at once. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ACCOUNT "17841450000000017"
#define TOKEN "hmat_live_0000EXAMPLE0000"
#define RECIPIENT "8123456789012345"

struct task {
    char base_url[64];
    const char *ca_file; /* NULL without TLS */
    char text[101];      /* about the length of a usual message */
};

static int read_task(struct task *task, int argc, char **argv)
{
    static const char words[] = "Your parcel leaves tomorrow. ";
    const int length = (int)sizeof task->text - 1;
    int at;

    if (argc != 3) {
        fprintf(stderr, "usage: %s ADDRESS CA_FILE\n", argv[0]);
        return 0;
    }
    task->ca_file = argv[2][0] == '\0' ? NULL : argv[2];
    snprintf(task->base_url, sizeof task->base_url, "%s://%s/meta/v25.0", task->ca_file ? "https" : "http", argv[1]);
    for (at = 0; at < length; at++)
        task->text[at] = words[at % (int)(sizeof words - 1)];
    task->text[length] = '\0';
    return 1;
}

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* `send_one` returns 0 when the expected answer has come. */
static int contend(int (*send_one)(void *), void *sender)
{
    char line[64];
    long sends;
    long long start;

    if (send_one(sender) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "one\n") == 0)
            sends = 1;
        else if (sscanf(line, "sends %ld", &sends) != 1 || send_one(sender) != 0)
            return 1;
        start = now();
        while (sends-- > 0)
            if (send_one(sender) != 0)
                return 1;
        printf("%lld\n", now() - start);
        fflush(stdout);
    }
    return 0;
}
