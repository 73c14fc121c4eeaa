/* A small C program that sends with libcurl's easy interface and cJSON. */
#include "contend.h"
#include <cjson/cJSON.h>
#include <curl/curl.h>

struct sender {
    CURL *curl;
    const char *text;
    char answer[16 << 10];
    size_t length;
};

static size_t receive(char *bytes, size_t size, size_t count, void *argument)
{
    struct sender *sender = argument;
    size_t length = size * count;

    if (length >= sizeof sender->answer - sender->length)
        return 0;
    memcpy(sender->answer + sender->length, bytes, length);
    sender->length += length;
    return length;
}

static char *make_body(const char *text)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *recipient = cJSON_AddObjectToObject(json, "recipient");
    cJSON *message = cJSON_AddObjectToObject(json, "message");
    char *body;

    cJSON_AddStringToObject(recipient, "id", RECIPIENT);
    cJSON_AddStringToObject(message, "text", text);
    body = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return body;
}

static int send_one(void *argument)
{
    struct sender *sender = argument;
    char *body = make_body(sender->text);
    long status = 0;
    CURLcode code;
    cJSON *answer;
    int is_sent;

    sender->length = 0;
    curl_easy_setopt(sender->curl, CURLOPT_POSTFIELDS, body);
    code = curl_easy_perform(sender->curl);
    curl_easy_getinfo(sender->curl, CURLINFO_RESPONSE_CODE, &status);
    answer = cJSON_ParseWithLength(sender->answer, sender->length);
    is_sent = code == CURLE_OK && status == 200 && cJSON_IsString(cJSON_GetObjectItem(answer, "message_id"));
    if (code != CURLE_OK)
        fprintf(stderr, "%s\n", curl_easy_strerror(code));
    cJSON_Delete(answer);
    cJSON_free(body);
    return is_sent ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct sender sender;
    struct task task;
    struct curl_slist *headers = NULL, *addresses = NULL;
    char url[128], both[64];
    int outcome;

    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("%s cJSON/%s\n", curl_version(), cJSON_Version()) < 0;
    if (!read_task(&task, argc, argv))
        return 64;
    snprintf(url, sizeof url, "%s/" ACCOUNT "/messages", task.base_url);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    headers = curl_slist_append(headers, "Authorization: Bearer " TOKEN);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    sender.curl = curl_easy_init();
    sender.text = task.text;
    curl_easy_setopt(sender.curl, CURLOPT_URL, url);
    curl_easy_setopt(sender.curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(sender.curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(sender.curl, CURLOPT_WRITEDATA, &sender);
    curl_easy_setopt(sender.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(sender.curl, CURLOPT_TIMEOUT_MS, 80000L);
    curl_easy_setopt(sender.curl, CURLOPT_MAXAGE_CONN, 600L);
    if (task.ca_file != NULL)
        curl_easy_setopt(sender.curl, CURLOPT_CAINFO, task.ca_file);
    if (strncmp(argv[1], "localhost:", 10) == 0) {
        /* /etc/hosts may give it one address alone. */
        snprintf(both, sizeof both, "%s:[::1],127.0.0.1", argv[1]);
        addresses = curl_slist_append(addresses, both);
        curl_easy_setopt(sender.curl, CURLOPT_RESOLVE, addresses);
    }
    outcome = contend(send_one, &sender);
    curl_easy_cleanup(sender.curl);
    curl_slist_free_all(headers);
    curl_slist_free_all(addresses);
    curl_global_cleanup();
    return outcome;
}
