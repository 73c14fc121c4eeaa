*> Sends a field without a NUL that lies before a card number in its record: neighbour RECIPIENT_ID TEXT
identification division.
program-id. neighbour.

data division.
working-storage section.
01 client            usage pointer.
01 error-pointer     usage pointer.
01 recipient-size    binary-double unsigned value 16.
01 message-size      binary-double unsigned value 40.
01 message-id-size   binary-double unsigned value 64.
01 error-size        binary-double unsigned value 64.
01 outcome           binary-long.
01 customer.
   05 recipient-id   pic x(16).
   05 message-text   pic x(40).
   05 card           pic x(21) value "CARD 4111111111111111".
   05 message-id     pic x(64).
   05 error-text     pic x(64).
   05 behind         pic x(6) value "behind".

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
    end-if
    display function trim(message-id) "|" function trim(error-text) "|" card "|" behind
    call "hma_client_free" using by value client returning omitted
    move outcome to return-code
    stop run.
