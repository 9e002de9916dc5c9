//! Where connections come from: networks of a test's own, and clients with an address of their
//! choice.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::{Client, can_run, wait_until};

/// Runs a test in a network of its own that has these addresses beside loopback's, and where all
/// ports are free; or skips it. All that the test starts is in there as well.
pub fn in_a_network_with(addresses: &[&str], test: impl FnOnce() + Send) {
    if !can_run(&["unshare", "--net", "ip", "link", "set", "lo", "up"]) {
        return;
    }
    let name = std::thread::current().name().map(str::to_owned);
    std::thread::scope(|scope| {
        // A thread has its network for itself, and a test need not have its thread so.
        let thread = std::thread::Builder::new().name(name.unwrap_or_default());
        let started = thread.spawn_scoped(scope, || {
            unshare(CloneFlags::CLONE_NEWNET).expect("it has just been possible");
            ip(&["link", "set", "lo", "up"]);
            for address in addresses {
                // Without a check for twins, which takes a second.
                let check = if address.contains(':') {
                    "nodad"
                } else {
                    "noprefixroute"
                };
                ip(&["address", "add", address, "dev", "lo", check]);
            }
            test();
        });
        let ended = started.expect("a thread can be had").join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs `ip`, in the network that this thread is in.
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    let status = status.expect("it is installed");
    assert!(status.success(), "ip {arguments:?}: {status}");
}

/// A connection whose client has this address.
pub fn connect_from(source: &str, server: SocketAddr) -> Client {
    let source: IpAddr = source.parse().expect("it is an address");
    let family = match source {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let descriptor = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let descriptor = descriptor.expect("there are descriptors");
    // A port is chosen when the other end is known: there may be thousands of connections.
    setsockopt(&descriptor, sockopt::IpBindAddressNoPort, &true).expect("it is a socket");
    let from = SockaddrStorage::from(SocketAddr::new(source, 0));
    bind(descriptor.as_raw_fd(), &from).expect("it is an address of this host");
    let to = SockaddrStorage::from(server);
    wait_until("the connection is made", || {
        // EINTR when a child of another test ends: the kernel goes on, and is asked again.
        match connect(descriptor.as_raw_fd(), &to) {
            Ok(()) | Err(nix::errno::Errno::EISCONN) => true,
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EALREADY) => false,
            Err(error) => panic!("{source} cannot connect to {server}: {error}"),
        }
    });
    Client::new(TcpStream::from(descriptor))
}
