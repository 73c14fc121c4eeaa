/* Prints what each accessor gives for NULL. */
#include <hookmyapp.h>
#include <stdio.h>

static void print_text(const char *name, const char *text)
{
    printf("%s %s\n", name, text != NULL ? text : "NULL");
}

static void print_number(const char *name, long number)
{
    printf("%s %ld\n", name, number);
}

int main(void)
{
    print_text("hma_config_url", hma_config_url(NULL));
    print_text("hma_config_webhook_secret", hma_config_webhook_secret(NULL));
    print_text("hma_config_warnings", hma_config_warnings(NULL));
    print_number("hma_response_http_status", hma_response_http_status(NULL));
    print_text("hma_response_message_id", hma_response_message_id(NULL));
    print_text("hma_response_recipient_id", hma_response_recipient_id(NULL));
    print_text("hma_response_attachment_id", hma_response_attachment_id(NULL));
    print_number("hma_response_meta_code", hma_response_meta_code(NULL));
    print_number("hma_response_meta_subcode", hma_response_meta_subcode(NULL));
    print_text("hma_response_gateway_code", hma_response_gateway_code(NULL));
    print_text("hma_response_error_message", hma_response_error_message(NULL));
    print_text("hma_response_user_message", hma_response_user_message(NULL));
    print_text("hma_response_trace_id", hma_response_trace_id(NULL));
    print_number("hma_response_retry_after", hma_response_retry_after(NULL));
    print_number("hma_response_usage_percent", hma_response_usage_percent(NULL));
    print_text("hma_response_body", hma_response_body(NULL));
    print_number("hma_response_body_length", (long)hma_response_body_length(NULL));
    print_text("hma_events_object", hma_events_object(NULL));
    print_number("hma_events_count", (long)hma_events_count(NULL));
    return 0;
}
