--  Sends one text from Ada: send RECIPIENT_ID TEXT
with Ada.Command_Line;     use Ada.Command_Line;
with Ada.Text_IO;          use Ada.Text_IO;
with Interfaces.C;         use Interfaces.C;
with Interfaces.C.Strings; use Interfaces.C.Strings;
with System;               use System;

procedure Send is
   subtype Status_Code is int;

   --  An owned text is freed by the library, not by Interfaces.C.Strings.Free.
   function Client_From_Env (Client : out Address; Error : out chars_ptr) return Status_Code
     with Import, Convention => C, External_Name => "hma_client_from_env";
   function Send_Text
     (Client : Address; Recipient_Id, Text : char_array; Response : out Address; Error : out chars_ptr)
      return Status_Code
     with Import, Convention => C, External_Name => "hma_send_text";
   function Message_Id (Response : Address) return chars_ptr
     with Import, Convention => C, External_Name => "hma_response_message_id";
   function Delivery (Status : Status_Code) return int
     with Import, Convention => C, External_Name => "hma_status_delivery";
   procedure Free_String (Text : chars_ptr)
     with Import, Convention => C, External_Name => "hma_string_free";
   procedure Free_Response (Response : Address)
     with Import, Convention => C, External_Name => "hma_response_free";
   procedure Free_Client (Client : Address)
     with Import, Convention => C, External_Name => "hma_client_free";

   Client   : Address;
   Response : Address := Null_Address;
   Error    : chars_ptr;
   Status   : Status_Code;
begin
   if Argument_Count /= 2 then
      Put_Line (Standard_Error, "usage: send RECIPIENT_ID TEXT");
      Set_Exit_Status (64);
      return;
   end if;

   Status := Client_From_Env (Client, Error);
   if Status = 0 then
      Status := Send_Text (Client, To_C (Argument (1)), To_C (Argument (2)), Response, Error);
   end if;

   if Status = 0 then
      Put_Line
        ("sent " & (if Message_Id (Response) = Null_Ptr then "without an id" else Value (Message_Id (Response))));
   else
      Put_Line (Standard_Error, Value (Error));
   end if;

   Free_String (Error);
   Free_Response (Response);
   Free_Client (Client);
   --  0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
   Set_Exit_Status (Exit_Status (Delivery (Status)));
end Send;
