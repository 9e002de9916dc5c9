//! Who may connect, and how many of one host: `--allow`, `--max-clients-per-host`.
//!
//! Both are about TCP. Who may connect to a unix socket is decided by its permissions.

use crate::socket::Peer;

use ipnet::{IpNet, Ipv4Net};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address, or a network in CIDR notation (RFC 4632): `192.0.2.7`, `10.0.0.0/8`,
/// `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// The hosts that may connect, and those that are connected.
pub struct Hosts {
    /// Empty: all.
    allowed: Vec<Network>,
    /// `None`: as many as there may be at all.
    clients_max: Option<usize>,
    /// By address, as sshd counts by default (PerSourceNetBlockSize, sshd_config(5)); kept only if
    /// there is a limit.
    clients: HashMap<IpAddr, usize>,
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Network, Self::Err> {
        let network = text.parse::<IpNet>();
        let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network
            .map(|network| Network(to_canonical(network)))
            .map_err(|_| "neither an IP address nor a network like 10.0.0.0/8")
    }
}

impl Hosts {
    /// `allowed` is `--allow`, `clients_max` is `--max-clients-per-host`.
    pub fn new(allowed: Vec<Network>, clients_max: Option<u32>) -> Hosts {
        Hosts {
            allowed,
            clients_max: clients_max.map(|clients| clients as usize),
            clients: HashMap::new(),
        }
    }

    /// `--allow` was given.
    pub fn are_limited(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Local users may connect by TCP: from loopback, any address of which is theirs to take, or
    /// from another address of this host.
    pub fn allow_this_host(&self) -> bool {
        let loopback = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8));
        let meets_loopback =
            |network: &Network| loopback.contains(&network.0) || network.0.contains(&loopback);
        let own = getifaddrs().into_iter().flatten();
        let mut own = own.filter_map(|interface| ip_of(&interface.address?));
        self.allow_address(&Ipv6Addr::LOCALHOST.into())
            || self.allowed.iter().any(meets_loopback)
            || own.any(|ip| self.allow_address(&ip))
    }

    /// It may connect.
    pub fn allow(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.allow_address(&address.ip()),
            Peer::Unix => true,
        }
    }

    /// Its host has as many clients as it may.
    pub fn is_full(&self, peer: Peer) -> bool {
        match (peer, self.clients_max) {
            (Peer::Ip(address), Some(max)) => {
                self.clients.get(&address.ip()).is_some_and(|n| *n >= max)
            }
            _ => false,
        }
    }

    /// A client of its host takes a seat.
    pub fn enter(&mut self, peer: Peer) {
        if let (Peer::Ip(address), true) = (peer, self.clients_max.is_some()) {
            *self.clients.entry(address.ip()).or_default() += 1;
        }
    }

    /// One that has entered leaves.
    pub fn leave(&mut self, peer: Peer) {
        let Peer::Ip(address) = peer else { return };
        let host = address.ip();
        if let Some(clients) = self.clients.get_mut(&host) {
            *clients -= 1;
            if *clients == 0 {
                self.clients.remove(&host);
            }
        }
    }

    fn allow_address(&self, ip: &IpAddr) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|network| network.0.contains(ip))
    }
}

/// An IPv4 network may be written as what dual-stack sockets make of it (RFC 4291, 2.5.5.2); our
/// peers have their IPv4 addresses.
fn to_canonical(network: IpNet) -> IpNet {
    let IpAddr::V4(ip) = network.addr().to_canonical() else {
        return network;
    };
    let length = network.prefix_len() - (network.max_prefix_len() - 32);
    Ipv4Net::new(ip, length).map_or(network, IpNet::V4)
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Ip((ip.parse::<IpAddr>().unwrap(), 50000).into())
    }

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks_are_addresses_or_cidr() {
        for good in [
            "10.0.0.0/8",
            "10.1.2.3/8",
            "192.0.2.7",
            "::1",
            "2001:db8::/32",
            "0.0.0.0/0",
        ] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/",
            "::1/129",
            " ::1",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn who_may_connect() {
        let hosts = Hosts::new(
            networks(&["198.51.100.9/24", "192.0.2.7", "2001:db8::/32"]),
            None,
        );
        for (ip, may) in [
            ("198.51.100.1", true),
            ("198.51.101.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(hosts.allow(peer(ip)), may, "{ip}");
        }
        assert!(hosts.allow(Peer::Unix));
        assert!(hosts.are_limited() && !hosts.allow_this_host());
        for local in [
            "127.0.0.0/8",
            "127.0.0.2",
            "0.0.0.0/0",
            "::1",
            "::/0",
            "::ffff:127.0.0.1",
        ] {
            let hosts = Hosts::new(networks(&[local]), None);
            assert!(hosts.allow_this_host(), "{local}");
        }
        let everybody = Hosts::new(vec![], None);
        assert!(everybody.allow(peer("11.0.0.1")) && everybody.allow_this_host());
        assert!(!everybody.are_limited());
    }

    #[test]
    fn how_many_of_one_host() {
        let mut hosts = Hosts::new(vec![], Some(2));
        for ip in ["192.0.2.7", "192.0.2.7", "2001:db8::1"] {
            assert!(!hosts.is_full(peer(ip)));
            hosts.enter(peer(ip));
            hosts.enter(Peer::Unix);
        }
        assert!(hosts.is_full(peer("192.0.2.7")));
        assert!(!hosts.is_full(peer("192.0.2.8")) && !hosts.is_full(peer("2001:db8::1")));
        assert!(!hosts.is_full(Peer::Unix));
        hosts.leave(peer("192.0.2.7"));
        assert!(!hosts.is_full(peer("192.0.2.7")));
        hosts.leave(peer("192.0.2.7"));
        hosts.leave(peer("2001:db8::1"));
        assert!(hosts.clients.is_empty());
    }
}
