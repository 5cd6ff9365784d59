//! Addresses that are trusted: one, or a network of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// An address, or those that begin like it: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is one of these. An IPv4 address is the same in its IPv6 clothes, as sockets for both show it.
    #[must_use]
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "invalid address or network `{text}`: expected one such as `10.0.0.0/8` or `::1`"
            )
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        if address != address.to_canonical() {
            let plain = address.to_canonical();
            return Err(format!(
                "`{text}`: write {plain} instead, it is the same address"
            ));
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |l| l.parse().map_err(|_| form()))?;
        let network = IpNet::new(address, length).map_err(|_| form())?;
        if length == 0 {
            return Err(format!("`{text}` would trust everybody"));
        }
        if network != network.trunc() {
            return Err(format!(
                "`{text}`: the address has bits beyond the first {length}"
            ));
        }
        Ok(Network(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_those_that_begin_like_it() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("fd00::/8", "fd12::1", "fe00::1"),
            ("::1", "::1", "0.0.0.1"),
            (
                "2001:db8::/65",
                "2001:db8::7fff:0:0:0",
                "2001:db8::8000:0:0:0",
            ),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network}");
            assert!(!network.contains(outside.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn what_would_trust_more_or_others_than_it_says_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "10.1.2.3/8",
            "0.0.0.0/0",
            "::/0",
            "::/129",
            "fd00::1/8",
            "::ffff:10.0.0.1",
            "localhost",
            " 10.0.0.1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
