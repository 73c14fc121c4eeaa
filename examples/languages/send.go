// Sends one text from Go with cgo: send RECIPIENT_ID TEXT
package main

// #cgo pkg-config: hookmyapp
// #include <hookmyapp.h>
// #include <stdlib.h>
import "C"

import (
	"fmt"
	"os"
	"unsafe"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: send RECIPIENT_ID TEXT")
		os.Exit(64)
	}
	// 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
	os.Exit(int(C.hma_status_delivery(send(os.Args[1], os.Args[2]))))
}

// Returns the status, and frees what C.CString made with C.free and what the library made with the library.
func send(recipientID, text string) C.hma_status {
	recipientChars, textChars := C.CString(recipientID), C.CString(text)
	defer C.free(unsafe.Pointer(recipientChars))
	defer C.free(unsafe.Pointer(textChars))
	var client *C.hma_client
	var response *C.hma_response
	var reason *C.char
	status := C.hma_client_from_env(&client, &reason)
	if status == C.HMA_OK {
		status = C.hma_send_text(client, recipientChars, textChars, &response, &reason)
	}

	if status == C.HMA_OK {
		// An empty text if the gateway gave no id.
		fmt.Println("sent", C.GoString(C.hma_response_message_id(response)))
	} else {
		fmt.Fprintln(os.Stderr, C.GoString(reason))
	}

	C.hma_string_free(reason)
	C.hma_response_free(response)
	C.hma_client_free(client)
	return status
}
