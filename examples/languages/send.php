<?php
// Sends one text from PHP with FFI: php send.php RECIPIENT_ID TEXT

if ($argc !== 3) {
    fwrite(STDERR, "usage: php send.php RECIPIENT_ID TEXT\n");
    exit(64);
}
$declarations = getenv('HOOKMYAPP_CDEF') ?: '/usr/local/include/hookmyapp.cdef.h';
$hma = FFI::cdef(file_get_contents($declarations), 'libhookmyapp.so.0.1');

$client = $hma->new('hma_client *');
$response = $hma->new('hma_response *');
// An owned text is a pointer; FFI::string() copies it.
$error = $hma->new('char *');

$status = $hma->hma_client_from_env(FFI::addr($client), FFI::addr($error));
if ($status === $hma->HMA_OK) {
    $status = $hma->hma_send_text($client, $argv[1], $argv[2], FFI::addr($response), FFI::addr($error));
}

if ($status === $hma->HMA_OK) {
    echo 'sent ', $hma->hma_response_message_id($response) ?? 'without an id', "\n";
} else {
    fwrite(STDERR, FFI::string($error) . "\n");
}

$hma->hma_string_free($error);
$hma->hma_response_free($response);
$hma->hma_client_free($client);
// 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
exit($hma->hma_status_delivery($status));
