//! A name with two addresses, `localhost`, and the first of them dead.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A listener whose queue is full: Linux drops what asks for a connection.
pub struct Dead {
    _listener: TcpListener,
    _filling: Vec<TcpStream>,
}

/// `None` without IPv6.
pub fn dead_port(port: u16) -> Option<Dead> {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let listener = Socket::new(Domain::IPV6, Type::STREAM, None).ok()?;
    listener.bind(&address.into()).ok()?;
    listener.listen(0).ok()?;
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let filling = std::iter::from_fn(connect).take(100).collect();
    Some(Dead { _listener: listener.into(), _filling: filling })
}

/// Takes the place of the C library's resolver in this program: every name is `::1` and `127.0.0.1`. `/etc/hosts` may give
/// `localhost` one address alone.
#[cfg(target_os = "linux")]
mod both_addresses {
    use std::ffi::{c_char, c_int};
    use std::ptr;

    /// One address in the list, with what it points to.
    #[repr(C)]
    struct Found<T> {
        info: libc::addrinfo,
        address: T,
    }

    fn found<T>(family: c_int, address: T, next: *mut libc::addrinfo) -> *mut libc::addrinfo {
        // SAFETY: zero is a value of all its members.
        let mut info: libc::addrinfo = unsafe { std::mem::zeroed() };
        info.ai_family = family;
        info.ai_socktype = libc::SOCK_STREAM;
        info.ai_addrlen = size_of::<T>() as u32;
        info.ai_next = next;
        // Names are looked up a few times in the life of a process.
        let found = Box::leak(Box::new(Found { info, address }));
        found.info.ai_addr = (&raw mut found.address).cast();
        &raw mut found.info
    }

    /// # Safety
    /// As the C library's: `results` may be written.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getaddrinfo(
        _: *const c_char,
        _: *const c_char,
        _: *const libc::addrinfo,
        results: *mut *mut libc::addrinfo,
    ) -> c_int {
        // SAFETY: zero is a value of all its members.
        let (mut four, mut six): (libc::sockaddr_in, libc::sockaddr_in6) = unsafe { std::mem::zeroed() };
        four.sin_family = libc::AF_INET as u16;
        four.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
        six.sin6_family = libc::AF_INET6 as u16;
        six.sin6_addr.s6_addr[15] = 1;
        // SAFETY: the caller's promise.
        unsafe { *results = found(libc::AF_INET6, six, found(libc::AF_INET, four, ptr::null_mut())) };
        0
    }

    /// # Safety
    /// As the C library's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn freeaddrinfo(_: *mut libc::addrinfo) {}
}
