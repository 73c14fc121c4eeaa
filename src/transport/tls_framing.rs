//! The layer below TLS: tracks where a record ends.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::attempt::{self, Probe};

/// Wraps the layer below TLS. It tracks whether the received bytes end at the end of a record.
///
/// Half a record could stay inside TLS, and its rest would be read as the response to the next send. On a new
/// connection it may be half a session ticket, which some servers send with the handshake: the rest is awaited.
#[derive(Debug)]
pub(super) struct TlsFramingConnector;

#[derive(Debug)]
pub(super) struct TlsFraming<T> {
    inner: T,
    is_tls: bool,
    boundary: RecordBoundary,
}

impl<In: Transport> Connector<In> for TlsFramingConnector {
    type Out = TlsFraming<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|mut inner| {
            let mut boundary = RecordBoundary::default();
            boundary.advance(inner.buffers().input());
            TlsFraming { inner, is_tls: details.needs_tls(), boundary }
        }))
    }
}

impl<T: Transport> Transport for TlsFraming<T> {
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
        let unread = self.inner.buffers().input().len();
        let outcome = match attempt::probe() {
            Some(Probe::NewConnection) if !self.boundary.is_reached() => {
                attempt::with_probe(Probe::RestOfRecord, || self.inner.await_input(timeout))
            }
            Some(_) if !self.boundary.is_reached() => return Ok(false),
            _ => self.inner.await_input(timeout),
        };
        self.boundary.advance(&self.inner.buffers().input()[unread..]);
        outcome
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Follows TLS records through a stream. A record has a header of five bytes, whose last two contain the length of its
/// body.
#[derive(Debug, Default)]
struct RecordBoundary {
    header_bytes: usize,
    length: usize,
    body_left: usize,
}

impl RecordBoundary {
    fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.body_left > 0 {
                let skipped = self.body_left.min(bytes.len());
                self.body_left -= skipped;
                bytes = &bytes[skipped..];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_record_is_found_however_the_bytes_are_cut() {
        let records = [&[23, 3, 3, 0, 3, 1, 2, 3][..], &[21, 3, 3, 0, 0], &[23, 3, 3, 1, 0], &[7; 256]].concat();
        let ends = [0, 8, 13, 13 + 5 + 256];
        for step in 1..records.len() {
            let mut boundary = RecordBoundary::default();
            let mut passed = 0;
            for piece in records.chunks(step) {
                boundary.advance(piece);
                passed += piece.len();
                assert_eq!(boundary.is_reached(), ends.contains(&passed), "{passed} bytes in steps of {step}");
            }
        }
    }
}
