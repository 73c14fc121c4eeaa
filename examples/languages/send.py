"""Sends one text from Python with ctypes: send.py RECIPIENT_ID TEXT"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int32, c_void_p

library = ctypes.CDLL("libhookmyapp.so.0.1")


def declare(name, result, *arguments):
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments
    return function


# An owned text is a c_void_p: a c_char_p would become a copy, and its pointer would be lost.
client_from_env = declare("hma_client_from_env", c_int32, POINTER(c_void_p), POINTER(c_void_p))
send_text = declare(
    "hma_send_text", c_int32, c_void_p, c_char_p, c_char_p, POINTER(c_void_p), POINTER(c_void_p)
)
message_id = declare("hma_response_message_id", c_char_p, c_void_p)
status_delivery = declare("hma_status_delivery", c_int32, c_int32)
string_free = declare("hma_string_free", None, c_void_p)
response_free = declare("hma_response_free", None, c_void_p)
client_free = declare("hma_client_free", None, c_void_p)

if len(sys.argv) != 3:
    sys.exit("usage: send.py RECIPIENT_ID TEXT")
client, response, error = c_void_p(), c_void_p(), c_void_p()
status = client_from_env(byref(client), byref(error))
if status == 0:
    recipient, text = (argument.encode() for argument in sys.argv[1:])
    status = send_text(client, recipient, text, byref(response), byref(error))

if status == 0:
    print("sent", (message_id(response) or b"without an id").decode())
else:
    print(ctypes.string_at(error.value).decode(), file=sys.stderr)

string_free(error)
response_free(response)
client_free(client)
# 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
sys.exit(status_delivery(status))
