//! The layer above TLS: where the request begins and ends, and what came before it.

use std::io;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::attempt::{self, Probe};
use super::tcp::is_clean;

/// Stands last, where the bytes are HTTP: marks the request, sees to it that nothing came before it, and knows whether
/// the connection may be used again.
#[derive(Debug)]
pub(super) struct Guard;

#[derive(Debug)]
pub(super) struct Guarded<T> {
    inner: T,
    /// Whether this is a connection to a proxy, inside the one that carries the request.
    is_tunnel: bool,
    /// What TLS could not read. What came before it still counts.
    broken: Option<io::Error>,
}

impl<In: Transport> Connector<In> for Guard {
    type Out = Guarded<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let is_tunnel = attempt::current().is_some_and(|attempt| attempt.is_tunnelling());
        Ok(chained.map(|inner| Guarded { inner, is_tunnel, broken: None }))
    }
}

impl<T: Transport> Guarded<T> {
    /// Bytes that came before the first byte of the request left answer something else. This is the last moment to
    /// see them: the request stands in the socket's buffer, and none of it has left.
    fn check_that_nothing_came(&mut self, is_reused: bool) -> Result<(), Error> {
        let probe = if is_reused { Probe::ReusedConnection } else { Probe::NewConnection };
        let came = match self.inner.buffers().input() {
            [] => attempt::with_probe(probe, || self.inner.await_input(NextTimeout::default())),
            _ => Ok(true),
        };
        match came {
            _ if is_clean(&came) => Ok(()),
            Ok(true) => {
                attempt::early_bytes_received();
                Err(Error::Io(io::Error::other("bytes came before the request was sent")))
            }
            Ok(false) => Err(Error::Io(io::Error::other("the other side had closed it"))),
            Err(error) => Err(error),
        }
    }

    /// What TLS had read before it met what it cannot read; then that failure.
    fn read_what_is_left(&mut self) -> Result<bool, Error> {
        match attempt::with_probe(Probe::BuffersOnly, || self.inner.await_input(NextTimeout::default())) {
            Ok(true) => Ok(true),
            _ => Err(Error::Io(self.broken.take().unwrap_or(io::ErrorKind::InvalidData.into()))),
        }
    }
}

impl<T: Transport> Transport for Guarded<T> {
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
        if self.broken.is_some() {
            return self.read_what_is_left();
        }
        if let Some(attempt) =
            attempt::current().filter(|attempt| attempt.is_request_started() && !attempt.may_have_been_sent())
        {
            if !self.is_tunnel {
                self.check_that_nothing_came(attempt.is_reused())?;
            }
        }
        match self.inner.await_input(timeout) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.broken = Some(error);
                self.read_what_is_left()
            }
            outcome => outcome,
        }
    }

    /// A connection may be used again if no layer's buffer holds anything: no byte of another answer, and no end. The
    /// socket is looked into before the next request leaves.
    fn is_open(&mut self) -> bool {
        self.broken.is_none()
            && self.inner.buffers().input().is_empty()
            && is_clean(&attempt::with_probe(Probe::BuffersOnly, || self.inner.await_input(NextTimeout::default())))
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
