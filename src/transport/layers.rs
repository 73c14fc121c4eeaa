//! The layers around TLS: where connecting begins and ends, where the request begins, and what stays unread.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::attempt::{self, Probe};
use super::wire::is_clean;

/// Stands first in the chain: from here on bytes belong to connecting, not to the request.
#[derive(Debug)]
pub(super) struct Begin;

impl<In: Transport> Connector<In> for Begin {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, Error> {
        attempt::update(|attempt| attempt.chain_begins());
        Ok(chained)
    }
}

/// Stands below TLS: knows whether the bytes that came end where a record ends.
///
/// ureq asks the socket alone whether a connection is clean. Half a record could then be left inside TLS, and its
/// rest would be taken for the answer to the next send.
#[derive(Debug)]
pub(super) struct RecordsConnector;

#[derive(Debug)]
pub(super) struct Records<T> {
    inner: T,
    is_tls: bool,
    end: RecordEnd,
}

impl<In: Transport> Connector<In> for RecordsConnector {
    type Out = Records<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|mut inner| {
            let mut end = RecordEnd::default();
            end.pass(inner.buffers().input());
            Records { inner, is_tls: details.needs_tls(), end }
        }))
    }
}

impl<T: Transport> Transport for Records<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.is_tls {
            return self.inner.await_input(timeout);
        }
        if attempt::current().is_some_and(|attempt| attempt.probe.is_some()) && !self.end.is_reached() {
            return Ok(false);
        }
        let unread = self.inner.buffers().input().len();
        let outcome = self.inner.await_input(timeout);
        self.end.pass(&self.inner.buffers().input()[unread..]);
        outcome
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Follows TLS records through a stream: five bytes of header, the last two of them the length of what follows.
#[derive(Debug, Default)]
struct RecordEnd {
    header_bytes: usize,
    length: usize,
    body_left: usize,
}

impl RecordEnd {
    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.body_left > 0 {
                let passed = self.body_left.min(bytes.len());
                self.body_left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            self.header_bytes += 1;
            match self.header_bytes {
                4 => self.length = usize::from(*first) << 8,
                5 => {
                    self.body_left = self.length | usize::from(*first);
                    self.header_bytes = 0;
                }
                _ => {}
            }
            bytes = rest;
        }
    }

    fn is_reached(&self) -> bool {
        self.header_bytes == 0 && self.body_left == 0
    }
}

/// Stands last, where the bytes are HTTP: marks the first byte of the request, and decides about reuse.
#[derive(Debug)]
pub(super) struct Guard;

#[derive(Debug)]
pub(super) struct Guarded<T>(T);

impl<In: Transport> Connector<In> for Guard {
    type Out = Guarded<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        attempt::update(|attempt| attempt.chain_ends());
        Ok(chained.map(Guarded))
    }
}

impl<T: Transport> Transport for Guarded<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        attempt::update(|attempt| attempt.offer());
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    /// A connection may be used again if reading through every layer finds nothing: no byte of another answer, and
    /// no end. ureq asks twice, as it puts the connection away and as it takes it out; the socket needs to be asked
    /// the second time only.
    fn is_open(&mut self) -> bool {
        let Some(attempt) = attempt::current().filter(|attempt| !attempt.wants_fresh || attempt.is_offered()) else {
            return false;
        };
        if !self.0.buffers().input().is_empty() {
            return false;
        }
        let probe = if attempt.is_offered() { Probe::Buffers } else { Probe::Socket };
        attempt::update(|attempt| attempt.probe = Some(probe));
        let probed = self.0.await_input(NextTimeout::default());
        attempt::update(|attempt| attempt.probe = None);
        is_clean(probed)
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_record_is_found_however_the_bytes_are_cut() {
        let records = [&[23, 3, 3, 0, 3, 1, 2, 3][..], &[21, 3, 3, 0, 0], &[23, 3, 3, 1, 0], &[7; 256]].concat();
        let ends = [0, 8, 13, 13 + 5 + 256];
        for step in 1..records.len() {
            let mut end = RecordEnd::default();
            let mut passed = 0;
            for piece in records.chunks(step) {
                end.pass(piece);
                passed += piece.len();
                assert_eq!(end.is_reached(), ends.contains(&passed), "{passed} bytes in steps of {step}");
            }
        }
    }
}
