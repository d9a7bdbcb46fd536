//! Addresses that are kept out, one by one or by the network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::model::{Time, text};

/// Addresses with the same first bits; one address is the smallest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// What stands for whoever is at that address: of IPv4 the address itself; of
    /// IPv6 its /64, for that much is given to one household.
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(ip) => Network(IpNet::V4(Ipv4Net::from(ip))),
            IpAddr::V6(ip) => Network(IpNet::V6(Ipv6Net::new_assert(ip, 64).trunc())),
        }
    }

    /// Whether the address is one of these.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether it is what one address stands for.
    pub fn is_one(&self) -> bool {
        *self == Network::of(self.0.addr())
    }
}

impl FromStr for Network {
    type Err = Error;

    /// An address, or a network such as `10.0.0.0/8`.
    fn from_str(s: &str) -> Result<Self, Error> {
        let network = match s.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address.to_canonical())),
            Err(_) => s.parse::<IpNet>().ok(),
        };
        network.map(|n| Network(n.trunc())).ok_or_else(|| {
            let what = text::short(s, 60);
            Error::usage(format!("“{what}” is neither an address nor a network."))
                .hint("Such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32.")
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix_len() == self.0.max_prefix_len() {
            true => f.pad(&self.0.addr().to_string()),
            false => f.pad(&self.0.to_string()),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Addresses from which no password is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ban {
    /// Which.
    pub network: Network,
    /// Since when.
    pub since: Time,
    /// Until when; none: until it is lifted.
    pub until: Option<Time>,
    /// How often the guard has banned it of late; 0 if somebody else did.
    pub strikes: u32,
    /// Who did; none: the guard.
    pub by: Option<String>,
    /// Why.
    pub note: String,
}

impl Ban {
    /// Whether it holds at that moment.
    pub fn holds(&self, now: Time) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(s: &str) -> Network {
        s.parse().unwrap()
    }

    #[test]
    fn one_household_is_one_network() {
        let of = |s: &str| Network::of(s.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8::1:2:3:4"), "2001:db8::/64");
        assert!(Network::of("2001:db8::1".parse().unwrap()).is_one());
        assert!(!network("2001:db8::1").is_one() && !network("10.0.0.0/8").is_one());
    }

    #[test]
    fn networks_are_read_as_people_write_them() {
        for (written, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(network(written).to_string(), shown);
            assert_eq!(network(shown), network(written));
        }
        for bad in
            ["", "web1", "192.0.2", "192.0.2.7/33", "10.0.0.0/-1", "10.0.0.0/8/8", "\u{1b}[31m", "1.2.3.4:22"]
        {
            let e = bad.parse::<Network>().unwrap_err().to_string();
            assert!(!e.contains('\u{1b}'), "{e}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_one_it_maps() {
        assert!(network("192.0.2.0/24").contains("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!network("192.0.2.0/24").contains("2001:db8::1".parse().unwrap()));
    }
}
