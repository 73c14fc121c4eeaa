#!/usr/bin/perl
# Sends one text from Perl with FFI::Platypus: perl send.pl RECIPIENT_ID TEXT
use strict;
use warnings;
use FFI::Platypus 1.00;

if (@ARGV != 2) {
    print STDERR "usage: perl send.pl RECIPIENT_ID TEXT\n";
    exit 64;
}
my $ffi = FFI::Platypus->new(api => 1, lib => 'libhookmyapp.so.0.1');

# An owned text is opaque: as a string, Perl would copy it and lose the pointer.
$ffi->attach(hma_client_from_env => ['opaque*', 'opaque*'] => 'sint32');
$ffi->attach(hma_send_text => ['opaque', 'string', 'string', 'opaque*', 'opaque*'] => 'sint32');
$ffi->attach(hma_response_message_id => ['opaque'] => 'string');
$ffi->attach(hma_status_delivery => ['sint32'] => 'sint32');
$ffi->attach(hma_string_free => ['opaque'] => 'void');
$ffi->attach(hma_response_free => ['opaque'] => 'void');
$ffi->attach(hma_client_free => ['opaque'] => 'void');

my ($client, $response, $error);
my $status = hma_client_from_env(\$client, \$error);
if ($status == 0) {
    $status = hma_send_text($client, $ARGV[0], $ARGV[1], \$response, \$error);
}

if ($status == 0) {
    print 'sent ', hma_response_message_id($response) // 'without an id', "\n";
} else {
    print STDERR $ffi->cast('opaque', 'string', $error), "\n";
}

hma_string_free($error);
hma_response_free($response);
hma_client_free($client);
# 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
exit hma_status_delivery($status);
