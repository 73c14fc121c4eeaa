-- Sends one text from LuaJIT: luajit send.lua RECIPIENT_ID TEXT
local ffi = require("ffi")

if #arg ~= 2 then
    io.stderr:write("usage: luajit send.lua RECIPIENT_ID TEXT\n")
    os.exit(64)
end
local path = os.getenv("HOOKMYAPP_CDEF") or "/usr/local/include/hookmyapp.cdef.h"
local file = assert(io.open(path))
ffi.cdef(file:read("*a"))
file:close()
local hma = ffi.load("libhookmyapp.so.0.1")

-- Places for what the library returns. An owned text is a pointer; ffi.string() copies it.
local client = ffi.new("hma_client *[1]")
local response = ffi.new("hma_response *[1]")
local error_text = ffi.new("char *[1]")

local status = hma.hma_client_from_env(client, error_text)
if status == hma.HMA_OK then
    status = hma.hma_send_text(client[0], arg[1], arg[2], response, error_text)
end

if status == hma.HMA_OK then
    local id = hma.hma_response_message_id(response[0])
    print("sent " .. (id ~= nil and ffi.string(id) or "without an id"))
else
    io.stderr:write(ffi.string(error_text[0]), "\n")
end

hma.hma_string_free(error_text[0])
hma.hma_response_free(response[0])
hma.hma_client_free(client[0])
-- 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
os.exit(hma.hma_status_delivery(status))
