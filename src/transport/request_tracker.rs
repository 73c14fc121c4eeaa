//! The layer above TLS: tracks where the request begins and ends, and what arrived before it.

use std::io;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::attempt::{self, Attempt, Probe};
use super::tcp::nothing_to_read;

/// Wraps the layer in which bytes are HTTP. It marks the request, checks that nothing arrived before it, and decides
/// whether the connection can be reused.
#[derive(Debug)]
pub(super) struct RequestTracker;

#[derive(Debug)]
pub(super) struct TrackedTransport<T> {
    inner: T,
    /// Whether this is the connection to a proxy that the request's connection runs through.
    is_tunnel: bool,
    /// A TLS read failure. Bytes that TLS decrypted before it are still valid.
    read_error: Option<io::Error>,
}

impl<In: Transport> Connector<In> for RequestTracker {
    type Out = TrackedTransport<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let is_tunnel = attempt::current_is(Attempt::is_tunnelling);
        Ok(chained.map(|inner| TrackedTransport { inner, is_tunnel, read_error: None }))
    }
}

impl<T: Transport> TrackedTransport<T> {
    /// Fails if bytes arrived before the first byte of the request left: they cannot be its response. This is the last
    /// chance to see them, because the request is still in the socket's buffer.
    fn check_no_early_bytes(&mut self, is_reused: bool) -> Result<(), Error> {
        let probe = if is_reused { Probe::ReusedConnection } else { Probe::NewConnection };
        let probed = match self.inner.buffers().input() {
            [] => attempt::with_probe(probe, || self.inner.await_input(NextTimeout::default())),
            _ => Ok(true),
        };
        match probed {
            _ if nothing_to_read(&probed) => Ok(()),
            Ok(true) => {
                attempt::early_bytes_received();
                Err(Error::Io(io::Error::other("bytes came before the request was sent")))
            }
            Ok(false) => Err(Error::Io(io::Error::other("the other side had closed it"))),
            Err(error) => Err(error),
        }
    }

    /// Returns the bytes that TLS decrypted before a read failure, then that failure.
    fn read_rest(&mut self) -> Result<bool, Error> {
        match attempt::with_probe(Probe::BuffersOnly, || self.inner.await_input(NextTimeout::default())) {
            Ok(true) => Ok(true),
            _ => Err(Error::Io(self.read_error.take().unwrap_or(io::ErrorKind::InvalidData.into()))),
        }
    }
}

impl<T: Transport> Transport for TrackedTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let is_request = !self.is_tunnel && attempt::current_is(|attempt| !attempt.is_connecting());
        if is_request {
            attempt::request_started();
        }
        let outcome = self.inner.transmit_output(amount, timeout);
        if is_request {
            attempt::request_buffered();
        }
        outcome
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.read_error.is_some() {
            return self.read_rest();
        }
        let is_first_byte_due = |attempt: &Attempt| attempt.is_request_started() && !attempt.may_have_been_sent();
        if !self.is_tunnel && attempt::current_is(is_first_byte_due) {
            self.check_no_early_bytes(attempt::current_is(Attempt::is_reused))?;
        }
        match self.inner.await_input(timeout) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.read_error = Some(error);
                self.read_rest()
            }
            outcome => outcome,
        }
    }

    /// Returns whether the connection can be reused: the buffers of all layers are empty and no end was read. The
    /// socket itself is checked before the next request leaves.
    fn is_open(&mut self) -> bool {
        self.read_error.is_none()
            && self.inner.buffers().input().is_empty()
            && nothing_to_read(&attempt::with_probe(Probe::BuffersOnly, || {
                self.inner.await_input(NextTimeout::default())
            }))
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
