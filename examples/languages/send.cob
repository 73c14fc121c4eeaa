*> Sends one text from COBOL, whose fields have a fixed length: send RECIPIENT_ID TEXT
identification division.
program-id. send.

data division.
working-storage section.
01 client            usage pointer.
01 error-pointer     usage pointer.
01 recipient-id      pic x(64).
01 recipient-size    binary-double unsigned value 64.
*> Longer than a text may be, so that a longer one is rejected and not cut.
01 message-text      pic x(2000).
01 message-size      binary-double unsigned value 2000.
01 message-id        pic x(256).
01 message-id-size   binary-double unsigned value 256.
01 error-text        pic x(512).
01 error-size        binary-double unsigned value 512.
01 outcome           binary-long.
linkage section.
01 c-string          pic x(512).

procedure division.
    accept recipient-id from argument-value
    accept message-text from argument-value

    call "hma_client_from_env" using by reference client by reference error-pointer
        returning outcome
    if outcome = 0
        call "hma_send_text_fixed" using by value client
            by reference recipient-id by value recipient-size
            by reference message-text by value message-size
            by reference message-id by value message-id-size
            by reference error-text by value error-size
            returning outcome
    else
        set address of c-string to error-pointer
        unstring c-string delimited by x"00" into error-text
        call "hma_string_free" using by value error-pointer returning omitted
    end-if

    if outcome = 0
        display "sent " function trim(message-id)
    else
        display function trim(error-text) upon syserr
    end-if
    call "hma_client_free" using by value client returning omitted
    *> 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
    call "hma_status_delivery" using by value outcome returning return-code
    stop run.
