{ Sends one text from Free Pascal: send RECIPIENT_ID TEXT }
program send;

{$mode objfpc}{$linklib hookmyapp}{$linklib c}

uses ctypes;

{ An owned text is a PChar of the library: free it with hma_string_free, not with Dispose. }
function hma_client_from_env(out client: Pointer; out error: PChar): cint32; cdecl; external;
function hma_send_text(client: Pointer; recipient_id, text: PChar; out response: Pointer; out error: PChar): cint32;
    cdecl; external;
function hma_response_message_id(response: Pointer): PChar; cdecl; external;
function hma_status_delivery(status: cint32): cint32; cdecl; external;
procedure hma_string_free(text: PChar); cdecl; external;
procedure hma_response_free(response: Pointer); cdecl; external;
procedure hma_client_free(client: Pointer); cdecl; external;

var
    client, response: Pointer;
    error: PChar;
    status: cint32;

begin
    if ParamCount <> 2 then
    begin
        WriteLn(StdErr, 'usage: send RECIPIENT_ID TEXT');
        Halt(64);
    end;

    response := nil;
    status := hma_client_from_env(client, error);
    if status = 0 then
        status := hma_send_text(client, PChar(ParamStr(1)), PChar(ParamStr(2)), response, error);

    { Nothing follows "sent" if the gateway gave no id. }
    if status = 0 then
        WriteLn('sent ', hma_response_message_id(response))
    else
        WriteLn(StdErr, error);

    hma_string_free(error);
    hma_response_free(response);
    hma_client_free(client);
    { 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered }
    Halt(hma_status_delivery(status));
end.
