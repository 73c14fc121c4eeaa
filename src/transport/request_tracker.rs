//! The layer above TLS: where the request begins and ends, and what came before it.

use std::io;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::attempt::{self, Probe};
use super::tcp::nothing_to_read;

/// Stands last, where the bytes are HTTP: marks the request, sees to it that nothing came before it, and knows whether
/// the connection may be used again.
#[derive(Debug)]
pub(super) struct RequestTracker;

#[derive(Debug)]
pub(super) struct TrackedTransport<T> {
    inner: T,
    /// Whether this is a connection to a proxy, inside the one that carries the request.
    is_tunnel: bool,
    /// What TLS could not read. What came before it still counts.
    read_error: Option<io::Error>,
}

impl<In: Transport> Connector<In> for RequestTracker {
    type Out = TrackedTransport<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let is_tunnel = attempt::current().is_some_and(|attempt| attempt.is_tunnelling());
        Ok(chained.map(|inner| TrackedTransport { inner, is_tunnel, read_error: None }))
    }
}

impl<T: Transport> TrackedTransport<T> {
    /// Bytes that came before the first byte of the request left answer something else. This is the last moment to
    /// see them: the request stands in the socket's buffer, and none of it has left.
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

    /// What TLS had read before it met what it cannot read; then that failure.
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
        let is_request = !self.is_tunnel && attempt::current().is_some_and(|attempt| !attempt.is_connecting());
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
        if let Some(attempt) =
            attempt::current().filter(|attempt| attempt.is_request_started() && !attempt.may_have_been_sent())
        {
            if !self.is_tunnel {
                self.check_no_early_bytes(attempt.is_reused())?;
            }
        }
        match self.inner.await_input(timeout) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.read_error = Some(error);
                self.read_rest()
            }
            outcome => outcome,
        }
    }

    /// A connection may be used again if no layer's buffer holds anything: no byte of another answer, and no end. The
    /// socket is looked into before the next request leaves.
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
