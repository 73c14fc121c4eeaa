# Sends one text from Ruby with Fiddle: ruby send.rb RECIPIENT_ID TEXT
require "fiddle/import"

# The functions of the library. An owned text is a void *: as a char * it would be freed by nobody.
module Hookmyapp
  extend Fiddle::Importer
  dlload "libhookmyapp.so.0.1"
  extern "int hma_client_from_env(void *, void *)"
  extern "int hma_send_text(void *, const char *, const char *, void *, void *)"
  extern "void *hma_response_message_id(void *)"
  extern "int hma_status_delivery(int)"
  extern "void hma_string_free(void *)"
  extern "void hma_response_free(void *)"
  extern "void hma_client_free(void *)"
end

# A place for a pointer that the library returns.
def place
  Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE).tap { |it| it[0, it.size] = "\0" * it.size }
end

if ARGV.length != 2
  warn "usage: ruby send.rb RECIPIENT_ID TEXT"
  exit 64
end
client, response, error = place, place, place
status = Hookmyapp.hma_client_from_env(client, error)
if status.zero?
  status = Hookmyapp.hma_send_text(client.ptr, ARGV[0], ARGV[1], response, error)
end

if status.zero?
  id = Hookmyapp.hma_response_message_id(response.ptr)
  puts "sent #{id.null? ? "without an id" : id}"
else
  warn error.ptr.to_s
end

Hookmyapp.hma_string_free(error.ptr)
Hookmyapp.hma_response_free(response.ptr)
Hookmyapp.hma_client_free(client.ptr)
# 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
exit Hookmyapp.hma_status_delivery(status)
